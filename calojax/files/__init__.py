"""Outside file formats, one module each: reading, writing, checking. Whatever is wrong is an InputError."""
