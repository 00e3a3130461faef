// Draws what the console sees of the parties now.  All that comes is text.

import {clock} from "./page.js";

let view = null;
const made = (name, texts) => texts.map((text) => Object.assign(document.createElement(name), { textContent: text }));

function put(place, text, kind = "") {
  if (place.textContent !== text) place.textContent = text;
  place.className = kind;
}

function drawParty(tile) {
  const [state, why, point] = tile.querySelectorAll("span"), { party } = tile.dataset;
  const cause = view.suspended[party] ?? "", took = view.took[party];
  if (cause.startsWith("drift: ")) put(state, "drifted", "tampered"); // no operator's cause begins so
  else put(state, cause ? "suspended" : "active", cause ? "revoked" : "");
  put(why, cause.startsWith("drift: ") ? cause : cause.replace(/ \(operator [^()]*\)$/, ""));
  const ran = view.asked ? `, ${(Date.now() / 1000 - view.asked).toFixed(1)} s so far` : "";
  if (took !== undefined) put(point, `refused after ${Math.round(1000 * took).toLocaleString("en")} ms`, "refused");
  else put(point, view.serves[party] ? `granted${ran}` : "", view.serves[party] ? "granted" : "");
}

function drawTable(name) {
  const rows = view[name].map(([at, ...cells]) => [clock(at), ...cells]);
  document.getElementById(name).replaceChildren(...(rows.length ? rows : [["none in the records"]]).map((cells) => {
    const row = document.createElement("tr");
    row.append(...made("td", cells));
    return row;
  }));
}

const draw = () => view && document.querySelectorAll("[data-party]").forEach(drawParty);
document.querySelectorAll("[data-at]").forEach((place) => put(place, clock(place.dataset.at)));
setInterval(draw, 200); // the stopwatches
new EventSource("/parties/events").addEventListener("view", (event) => {
  view = JSON.parse(event.data);
  draw();
  ["rules", "changes", "alarms"].forEach(drawTable);
  put(document.getElementById("problem"), view.problem, view.problem && "problem");
  document.getElementById("ids")?.replaceChildren(...made("option", view.ids));
});
