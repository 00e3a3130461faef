// Keeps the page of the parties as the console sees them now.  All that comes is text.

const places = document.querySelectorAll("[data-sign]");
const lists = document.querySelectorAll("[data-lines]");

new EventSource("/parties/events").addEventListener("view", (event) => {
  const view = JSON.parse(event.data);
  for (const place of places) {
    const [text, kind] = view.signs[place.dataset.sign] ?? ["", ""];
    if (place.textContent !== text) place.textContent = text;
    place.className = kind;
  }
  for (const list of lists) {
    const lines = view.lists[list.dataset.lines];
    if (list.dataset.shown === JSON.stringify(lines)) continue;
    list.dataset.shown = JSON.stringify(lines);
    list.replaceChildren(...(lines.length ? lines : [list.dataset.none ?? ""]).map((line) => {
      const made = document.createElement(list.localName === "datalist" ? "option" : "li");
      made.textContent = line;
      return made;
    }));
  }
});
