// Showers in three dimensions, reference and generated side by side: every hit cell is a wedge of its cylinder.
//
// Scene: x along the shower (z of the detector), y up, the outermost radius is 1. Cells are drawn from the far ones to
// the near ones, so that faint cells can be transparent. The frame and its labels are drawn on a canvas below.
// What is shown can be read from the viewer's data-* attributes.
"use strict";
(() => {
  const root = document.getElementById("viewer");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const [pairSelect, radiusSelect, slider] = ["pair", "radius", "threshold"].map(part);

  // ---- numbers

  const array = ({ type, base64 }) =>
    new globalThis[type](Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
  const samples = data.samples.map((sample) => ({
    ...sample,
    cell: array(sample.cell),
    deposit: array(sample.deposit),
  }));
  const energy = (mev) => {
    const [size, unit] = [[1e6, "TeV"], [1e3, "GeV"], [1, "MeV"], [1e-3, "keV"]].find(([s]) => mev >= s) ?? [1e-3, "keV"];
    return `${Number((mev / size).toPrecision(3))} ${unit}`;
  };
  const lowest = data.threshold;
  const largest = samples.reduce((most, s) => s.deposit.reduce((a, b) => Math.max(a, b), most), 2 * lowest);

  // ---- geometry

  const layers = [];
  let count = 0;
  for (const layer of data.layers) {
    layers.push({ ...layer, first: count, rings: layer.r.length - 1 });
    count += layer.alpha * (layer.r.length - 1);
  }
  const layerOf = new Uint16Array(count);
  layers.forEach((layer, i) => layerOf.fill(i, layer.first, layer.first + layer.alpha * layer.rings));
  const outermost = Math.max(...layers.map((layer) => layer.r.at(-1)));
  const innermost = Math.min(...layers.map((layer) => layer.r.find((r) => r > 0)));
  const [front, back] = [layers[0].z[0], layers.at(-1).z[1]];
  const depth = Math.min(Math.max((back - front) / outermost, 2), 4); // of the scene
  const stretch = depth / ((back - front) / outermost);
  const along = (z) => ((z - front) / (back - front) - 0.5) * depth;
  const radii = {
    scale: (r) => r / outermost,
    compressed: (r) => Math.asinh(r / innermost) / Math.asinh(outermost / innermost),
  };
  const across = (r) => radii[radiusSelect.value](r);
  const point = (r, phi, x) => [x, r * Math.sin(phi), -r * Math.cos(phi)]; // of scene radius and depth

  function wedge(cell) {
    const layer = layers[layerOf[cell]];
    const within = cell - layer.first;
    const [ring, bin] = [within % layer.rings, Math.floor(within / layer.rings)];
    const turn = (2 * Math.PI) / layer.alpha;
    const gap = layer.alpha > 1 ? 0.03 * turn : 0;
    const [r0, r1] = [across(layer.r[ring]), across(layer.r[ring + 1])];
    const [x0, x1] = layer.z.map(along);
    const phi = bin * turn - Math.PI;
    const inset = 0.06 * (x1 - x0);
    return [r0, r1 - 0.04 * (r1 - r0), phi + gap, phi + turn - gap, x0 + inset, x1 - inset];
  }

  // A unit cube of (radius, turn, depth), cut along the turn so that arcs are round; triangles face outwards.
  function cube(steps) {
    const corners = [];
    for (let s = 0; s < steps; s++)
      for (let axis = 0; axis < 3; axis++)
        for (const side of [0, 1]) {
          if (axis === 1 && s !== (side ? steps - 1 : 0)) continue;
          const square = [[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 1]];
          for (const [a, b] of side ? square : square.reverse()) {
            const corner = [0, 0, 0];
            corner[axis] = side;
            corner[(axis + 1) % 3] = a;
            corner[(axis + 2) % 3] = b;
            corner[1] = (s + corner[1]) / steps;
            corners.push(...corner);
          }
        }
    return new Float32Array(corners);
  }
  const mesh = cube(Math.ceil(64 / Math.min(...layers.map((layer) => layer.alpha))));

  // ---- camera, one for both samples

  const HOME = { azimuth: -0.6, elevation: 0.4, zoom: 1 };
  const camera = { ...HOME };
  const FIELD = Math.tan(0.22); // half the height at distance 1

  // The 4 x 4 matrix, column by column, and what it makes of a point: [x, y, distance] in pixels.
  function projection(width, height) {
    const [ca, sa] = [Math.cos(camera.azimuth), Math.sin(camera.azimuth)];
    const [ce, se] = [Math.cos(camera.elevation), Math.sin(camera.elevation)];
    const right = [ca, 0, -sa];
    const up = [-se * sa, ce, -se * ca];
    const towards = [ce * sa, se, ce * ca];
    const aspect = width / height;
    const distance = Math.max(1.4, (depth / 2 + 0.6) / aspect) / FIELD / camera.zoom + 1;
    const [near, far] = [0.05, distance + 20];
    const [fx, fy] = [1 / FIELD / aspect, 1 / FIELD];
    const [a, b] = [-(far + near) / (far - near), (-2 * far * near) / (far - near)];
    const column = (i) => [fx * right[i], fy * up[i], a * towards[i], -towards[i]];
    const matrix = [...column(0), ...column(1), ...column(2), 0, 0, -a * distance + b, distance];
    const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    const place = (p) => {
      const w = distance - dot(towards, p);
      return [(1 + (fx * dot(right, p)) / w) * width / 2, (1 - (fy * dot(up, p)) / w) * height / 2, w];
    };
    return { matrix, place, towards };
  }

  // ---- drawing

  const VERTEX = `#version 300 es
    uniform mat4 projection;
    in vec3 corner; in vec4 arc; in vec3 slab;
    out vec3 position; out vec3 within; out float level;
    void main() {
      within = corner;
      float r = mix(arc.x, arc.y, corner.x), phi = mix(arc.z, arc.w, corner.y);
      position = vec3(mix(slab.x, slab.y, corner.z), r * sin(phi), -r * cos(phi));
      level = slab.z;
      gl_Position = projection * vec4(position, 1.0);
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    uniform vec3 colours[16]; uniform vec3 light;
    in vec3 position; in vec3 within; in float level;
    out vec4 colour;
    void main() {
      float place = clamp(level, 0.0, 1.0) * 15.0;
      int below = min(int(place), 14);
      vec3 plain = mix(colours[below], colours[below + 1], place - float(below));
      vec3 normal = normalize(cross(dFdx(position), dFdy(position)));
      float opacity = mix(0.25, 1.0, smoothstep(0.0, 0.75, level));
      vec3 lit = plain * (0.72 + 0.28 * abs(dot(normal, light)));
      vec3 width = fwidth(within), inside = min(within, 1.0 - within);
      vec3 pixels = mix(inside / max(width, 1e-6), vec3(9.0), lessThan(width, vec3(1e-6))); // to the edges of the face
      float edge = 1.0 - smoothstep(0.4, 1.2, min(pixels.x, min(pixels.y, pixels.z)));
      colour = vec4(mix(lit, vec3(1.0), 0.25 * edge), 1.0) * opacity;
    }`;

  function painter(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true }); // kept: for printing
    if (!gl) return null;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
    gl.useProgram(program);
    const attribute = (name, size, stride, offset, divisor) => {
      const at = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, gl.FLOAT, false, stride, offset);
      gl.vertexAttribDivisor(at, divisor);
    };
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, mesh, gl.STATIC_DRAW);
    attribute("corner", 3, 0, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    attribute("arc", 4, 28, 0, 1);
    attribute("slab", 3, 28, 16, 1);
    gl.uniform3fv(gl.getUniformLocation(program, "colours"), data.colours.flat());
    [gl.DEPTH_TEST, gl.CULL_FACE, gl.BLEND].forEach((what) => gl.enable(what));
    gl.depthFunc(gl.LEQUAL);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    return (wedges, { matrix, towards }) => {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.uniformMatrix4fv(gl.getUniformLocation(program, "projection"), false, matrix);
      gl.uniform3fv(gl.getUniformLocation(program, "light"), towards);
      gl.bufferData(gl.ARRAY_BUFFER, wedges, gl.STREAM_DRAW);
      gl.drawArraysInstanced(gl.TRIANGLES, 0, mesh.length / 3, wedges.length / 7);
    };
  }

  // Numbers of 7 per cell, far cells first.
  function sorted(wedges, { towards }) {
    const n = wedges.length / 7;
    const nearness = new Float32Array(n);
    for (let i = 0; i < n; i++) {
      const [r0, r1, phi0, phi1, x0, x1] = wedges.subarray(7 * i, 7 * i + 6);
      const [x, y, z] = point((r0 + r1) / 2, (phi0 + phi1) / 2, (x0 + x1) / 2);
      nearness[i] = x * towards[0] + y * towards[1] + z * towards[2];
    }
    const order = Uint32Array.from(nearness.keys()).sort((a, b) => nearness[a] - nearness[b]);
    const out = new Float32Array(wedges.length);
    order.forEach((from, to) => out.set(wedges.subarray(7 * from, 7 * from + 7), 7 * to));
    return out;
  }

  function frame(canvas, scale, place) {
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = "#3c4043";
    const line = (points, colour) => {
      pen.strokeStyle = colour;
      pen.beginPath();
      points.forEach((p) => pen.lineTo(...place(p).slice(0, 2)));
      pen.stroke();
    };
    const label = (words, p, from) => { // on the far side of a point
      const [x, y] = place(p);
      const [away, down] = [x - place(from)[0], y - place(from)[1]];
      pen.textAlign = Math.abs(away) < 12 ? "center" : away < 0 ? "right" : "left";
      pen.textBaseline = Math.abs(down) < 12 ? "middle" : down < 0 ? "bottom" : "top";
      const [wide, most] = [pen.measureText(words).width + 3, canvas.width / scale];
      const fits = { right: [wide, most], center: [wide / 2, most - wide / 2], left: [0, most - wide] }[pen.textAlign];
      pen.fillText(words, Math.min(Math.max(x, fits[0]), fits[1]), y);
    };
    const circle = (r, x, colour) =>
      line(Array.from({ length: 65 }, (_, i) => point(r, (i * Math.PI) / 32, x)), colour);
    const [begin, end] = [-depth / 2, depth / 2];
    const lowestPhi = Array.from({ length: 32 }, (_, i) => (i * Math.PI) / 16).reduce((best, phi) =>
      place(point(1, phi, 0))[1] > place(point(1, best, 0))[1] ? phi : best);

    const step = [1, 2, 5, 10, 20, 50, 100].find((n) => layers.length / n <= 10) ?? 500;
    layers.forEach((layer, i) => {
      if (i % step) return;
      const x = along((layer.z[0] + layer.z[1]) / 2);
      circle(across(layer.r.at(-1)), along(layer.z[0]), "#e3e5e8");
      line([point(1, lowestPhi, x), point(1.05, lowestPhi, x)], "#8a8f94");
      const [lx, ly] = place(point(1.08, lowestPhi, x));
      pen.textAlign = "center";
      pen.textBaseline = "top";
      pen.fillText(i ? layer.id : `layer ${layer.id}`, lx, ly);
    });
    for (const [x, z] of [[begin, front], [end, back]]) {
      circle(1, x, "#9aa0a6");
      const [lx, ly] = place(point(1.08, lowestPhi, x));
      pen.textAlign = lx < place([0, 0, 0])[0] ? "right" : "left";
      pen.fillText(`z = ${Number(z.toPrecision(4))} mm`, lx, ly + 16);
    }
    for (let i = 0; i < 4; i++) line([point(1, (i * Math.PI) / 2, begin), point(1, (i * Math.PI) / 2, end)], "#c4c8cc");
    line([[begin, 0, 0], [end, 0, 0]], "#c4c8cc");
    ["φ = 0", "π/2", "±π", "−π/2"].forEach((words, i) => {
      const phi = (i * Math.PI) / 2;
      line([[begin, 0, 0], point(1, phi, begin)], "#c4c8cc");
      label(words, point(1.06, phi, begin), [begin, 0, 0]);
    });
    const [cx, cy] = place([0, 0, 0]);
    const farness = (phi) => {
      const [x, y] = place(point(1, phi, begin));
      return Math.hypot(x - cx, y - cy);
    };
    const free = [1, 3, 5, 7].map((n) => (n * Math.PI) / 4).reduce((a, b) => (farness(b) > farness(a) ? b : a));
    const marks = radiusSelect.value === "scale" ? [] : [1, 10, 100, 1000].filter((r) => r > innermost && r < outermost / 2);
    for (const r of [...marks, outermost]) {
      circle(across(r), begin, r === outermost ? "#9aa0a6" : "#d0d3d6");
      label(r === outermost ? `r = ${Number(r.toPrecision(4))} mm` : r, point(across(r) * 1.03, free, begin), [0, 0, 0]);
    }
  }

  // ---- one sample

  const views = samples.map((sample) => {
    const panel = part(sample.name);
    const [below, above] = panel.querySelectorAll("canvas");
    return { sample, panel, below, above, words: panel.querySelector("figcaption"), paint: painter(above) };
  });
  if (views.some((view) => !view.paint)) return; // the sentence in its place stays
  part("fallback").hidden = true;
  part("stage").hidden = false;

  const threshold = () => lowest * (largest / lowest) ** (slider.value / slider.max);
  const counts = (deposit) => deposit > 0.999999 * threshold(); // deposits are rounded to float32

  // The cells above the threshold, and the words below the picture.
  function fill(view, pair, bottom, top) {
    const { sample } = view;
    const [first, last] = [sample.offsets[pair], sample.offsets[pair + 1]];
    const wedges = [];
    let [shown, all] = [0, 0];
    for (let hit = first; hit < last; hit++) {
      const deposit = sample.deposit[hit];
      all += deposit;
      if (!counts(deposit)) continue;
      shown += deposit;
      wedges.push(...wedge(sample.cell[hit]), Math.log(deposit / bottom) / Math.log(top / bottom));
    }
    view.wedges = new Float32Array(wedges);
    const cells = wedges.length / 7;
    const share = all > 0 ? `${((100 * shown) / all).toFixed(1)} %` : "nothing";
    view.words.textContent =
      `${sample.name}: E_inc ${energy(sample.energy[pair])}, shower ${sample.rows[pair]} of its file. ` +
      `Drawn: ${cells} of ${last - first} hit cells, with ${share} of their ${energy(all)}.`;
    root.dataset[`${sample.name}Cells`] = cells;
  }

  function colourBar(bottom, top) {
    const at = (mev) => (100 * Math.log(mev / bottom)) / Math.log(top / bottom);
    const cut = Math.max(Math.min(at(threshold()), 100), 0);
    part("bar").style.background =
      `linear-gradient(to right, #eceef0 ${cut}%, transparent ${cut}%), linear-gradient(to right, ` +
      data.colours.map((c) => `rgb(${c.map((x) => Math.round(255 * x)).join(" ")})`).join(", ") + ")";
    const decades = [];
    for (let power = Math.ceil(Math.log10(bottom)); 10 ** power <= top; power++) decades.push(power);
    part("ticks").replaceChildren(...decades.map((power) => {
      const tick = document.createElement("span");
      tick.style.left = `${at(10 ** power)}%`;
      tick.textContent = Math.abs(power) < 5 ? String(Number(`1e${power}`)) : `1e${power}`;
      return tick;
    }));
  }

  let pending = false;
  function draw() {
    pending = false;
    for (const view of views) {
      const { clientWidth: width, clientHeight: height } = view.above;
      if (!width) continue;
      const scale = globalThis.devicePixelRatio || 1;
      for (const canvas of [view.below, view.above])
        if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale))
          [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
      const seen = projection(width, height);
      frame(view.below, scale, seen.place);
      view.paint(sorted(view.wedges, seen), seen);
    }
    root.dataset.azimuth = camera.azimuth.toFixed(3);
    root.dataset.elevation = camera.elevation.toFixed(3);
    root.dataset.zoom = camera.zoom.toFixed(3);
    root.dataset.ready = "true";
  }
  function redraw() {
    if (!pending) requestAnimationFrame(draw);
    pending = true;
  }

  function update() {
    const pair = Number(pairSelect.value);
    let top = 10 * lowest;
    for (const { offsets, deposit } of samples)
      for (let hit = offsets[pair]; hit < offsets[pair + 1]; hit++) top = Math.max(top, deposit[hit]);
    const bottom = Math.max(lowest, top / 1000);
    views.forEach((view) => fill(view, pair, bottom, top));
    colourBar(bottom, top);
    const said = `${energy(threshold())} and above`;
    slider.setAttribute("aria-valuetext", said);
    part("said").textContent = said;
    part("previous").disabled = pair === 0;
    part("next").disabled = pair === samples[0].energy.length - 1;
    const notes = [];
    if (Math.abs(stretch - 1) > 0.01) notes.push(`depth drawn ${Number(stretch.toPrecision(2))} times as long as the radius asks for`);
    if (radiusSelect.value === "compressed") notes.push("radius compressed: equal steps are nearly equal factors");
    part("notes").textContent = notes.length ? `Not to scale: ${notes.join("; ")}.` : "";
    root.dataset.pair = pair;
    redraw();
  }

  // ---- what a reader does

  function turn(right, up) {
    camera.azimuth += right;
    camera.elevation = Math.min(Math.max(camera.elevation + up, -1.5), 1.5);
    redraw();
  }
  function zoom(factor) {
    camera.zoom = Math.min(Math.max(camera.zoom * factor, 0.5), 12);
    redraw();
  }
  function home() {
    Object.assign(camera, HOME);
    redraw();
  }

  const KEYS = {
    ArrowLeft: () => turn(-0.1, 0),
    ArrowRight: () => turn(0.1, 0),
    ArrowUp: () => turn(0, 0.1),
    ArrowDown: () => turn(0, -0.1),
    "+": () => zoom(1.2),
    "=": () => zoom(1.2),
    "-": () => zoom(1 / 1.2),
    Home: home,
    0: home,
  };
  for (const { above } of views) {
    const fingers = new Map();
    const spread = () => {
      const [a, b] = [...fingers.values()];
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    above.addEventListener("keydown", (event) => {
      if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      KEYS[event.key]();
    });
    above.addEventListener("pointerdown", (event) => {
      above.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    above.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const before = fingers.size > 1 ? spread() : 0;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (before) zoom(spread() / before);
      else turn(-(event.clientX - last.x) / 150, (event.clientY - last.y) / 150);
    });
    for (const end of ["pointerup", "pointercancel"])
      above.addEventListener(end, (event) => fingers.delete(event.pointerId));
    above.addEventListener("wheel", (event) => {
      if (document.activeElement !== above) return; // else the page scrolls
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 500));
    }, { passive: false });
    new ResizeObserver(redraw).observe(above);
  }

  const step = (by) => {
    pairSelect.value = Math.min(Math.max(Number(pairSelect.value) + by, 0), samples[0].energy.length - 1);
    update();
  };
  part("previous").addEventListener("click", () => step(-1));
  part("next").addEventListener("click", () => step(1));
  part("reset").addEventListener("click", home);
  part("closer").addEventListener("click", () => zoom(1.2));
  part("farther").addEventListener("click", () => zoom(1 / 1.2));
  pairSelect.addEventListener("change", update);
  radiusSelect.addEventListener("change", update);
  slider.addEventListener("input", update);

  const [ours, theirs] = samples;
  pairSelect.replaceChildren(...Array.from(ours.energy, (mev, i) =>
    new Option(`${i + 1}: ${energy(mev)} (generated ${energy(theirs.energy[i])})`, i)));
  pairSelect.value = Math.floor(0.6 * ours.energy.length);
  radiusSelect.value = outermost / innermost > 30 ? "compressed" : "scale";
  update();
})();
