"""The systems; nothing here is imported by the shared rooms, and no system imports another."""
