// Draws what the console sees of the parties now.  All that comes is text.

import {SECOND, by, clock, element} from "./page.js";

const MOST_ALARMS = 5;
const now = () => Date.now() / SECOND;
let view = null;
const each = (name, texts) => texts.map((text) => element(name, "", text));

function put(place, text, kind = "") {
  if (place.textContent !== text) place.textContent = text;
  place.className = kind;
}

/** Return a time to the millisecond, and how long before or after the last order it is, if that was about this party. */
function moment([at, name], party) {
  const time = new Date(at * SECOND).toISOString().slice(11, -1), late = at - view.asked;
  const order = view.target === party ? `, ${lasting(Math.abs(late))} ${late < 0 ? "before" : "after"} the order` : "";
  return `its last call was admitted by ${name} at ${time} UTC${order}`;
}

const lasting = (seconds) => (seconds < 1 ? `${Math.round(SECOND * seconds)} ms` : `${seconds.toFixed(1)} s`);

function drawParty(tile) {
  const [state, why, point] = tile.querySelectorAll("span"), { party } = tile.dataset;
  const cause = view.suspended[party] ?? "", took = view.took[party], last = view.admitted[party];
  if (cause.startsWith("drift: ")) put(state, "drifted", "tampered"); // no operator's cause begins so
  else put(state, cause ? "suspended" : "active", cause ? "revoked" : "");
  for (const button of tile.querySelectorAll("button")) button.hidden = (button.name === "withdraw") === (cause !== "");
  put(why, cause.startsWith("drift: ") ? cause : cause.replace(/ \(operator [^()]*\)$/, ""));
  const refused = took === undefined ? "" : `first refused ${view.target} ${lasting(took)} after the order`;
  if (cause) put(point, last ? moment(last, party) : "no call of it is in the records that were read");
  else if (refused && view.ended) put(point, `${refused}, until it was reinstated at ${clock(view.ended)}`, "faint");
  else if (view.serves[party]) put(point, "granted", "granted");
  else put(point, refused);
}

function drawTable(name) {
  const rows = view[name].map(([at, ...cells]) => [clock(at), ...cells]);
  const more = name === "alarms" ? rows.splice(MOST_ALARMS).length : 0;
  if (more) rows.push([`and ${more} more`]);
  if (!rows.length) rows.push(["none in the records"]);
  by(name).replaceChildren(...rows.map((cells) => element("tr", "", ...each("td", cells))));
}

function draw() {
  const order = by("order"), calling = by("calling");
  if (order) by("ended").hidden = !(order.hidden = now() > order.dataset.until);
  if (!view) return;
  document.querySelectorAll("[data-party]").forEach(drawParty);
  if (calling) put(calling, view.until > now() ? `calling, ${Math.ceil(view.until - now())} s left` : "");
}

document.querySelectorAll("[data-at]").forEach((place) => put(place, clock(place.dataset.at)));
const ticking = setInterval(draw, 200); // the stopwatches
const source = new EventSource("/parties/events");
source.addEventListener("error", () => {
  if (source.readyState !== EventSource.CLOSED) return; // the browser asks again by itself
  clearInterval(ticking);
  put(by("problem"), "No longer live, because you were signed out, or the console refused: ", "problem");
  by("problem").append(Object.assign(element("a", "", "sign in again"), { href: "/parties" }));
});
source.addEventListener("view", (event) => {
  view = JSON.parse(event.data);
  draw();
  ["rules", "changes", "alarms"].forEach(drawTable);
  put(by("problem"), view.problem, view.problem && "problem");
  by("ids")?.replaceChildren(...each("option", view.ids));
});
