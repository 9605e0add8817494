// One place in the samples of a picture, moved by mouse and arrow keys, read out in one line.
class Cursor {
  constructor(count, say) {
    this.count = count;
    this.say = say; // of an index, pairs [name, value]
    this.at = 0;
    this.line = element("p", { className: "readout" });
    this.listeners = [];
  }
  set(index) {
    this.at = Math.max(0, Math.min(this.count - 1, index));
    this.line.replaceChildren(...this.say(this.at).map(([name, value]) => element("span", {}, name + " ", element("b", { textContent: value }))));
    for (const listener of this.listeners) listener.move(this.at);
  }
  listen(owner, move) { this.listeners.push({ owner, move }); }
  forget(owner) { this.listeners = this.listeners.filter((listener) => listener.owner !== owner); }
}

// Makes a drawing steer a cursor. `find(x, y)` gives the index at a place of the drawing, `step(key)` the one a key leads to.
function steer(owner, drawing, cursor, label, find, step) {
  const slider = element("div", { className: "slider", tabIndex: 0, role: "slider", ariaLabel: label, ariaValueMin: 0, ariaValueMax: cursor.count - 1 });
  drawing.replaceWith(slider);
  slider.append(drawing);
  const point = (event) => {
    const box = drawing.getBoundingClientRect(), zoom = drawing.viewBox.baseVal.width / box.width;
    cursor.set(find((event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom));
  };
  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerdown", point);
  slider.addEventListener("keydown", (event) => {
    const next = step(event.key);
    if (next === undefined) return;
    event.preventDefault();
    cursor.set(next);
  });
  cursor.listen(owner, (index) => {
    slider.ariaValueNow = index;
    slider.ariaValueText = cursor.say(index).map((pair) => pair.join(" ")).join(", ");
  });
}

const keySteps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 };
