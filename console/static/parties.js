// Draws what the console sees of the parties now.  All that comes is text.

import {SECOND, by, clock, element} from "./page.js";

const WAY = ["orchestrator", "agent/reader"]; // of the thief's tokens, before the tools and the model
const MOST_ALARMS = 5;
const now = () => Date.now() / SECOND;
let view = null;
const each = (name, texts) => texts.map((text) => element(name, "", text));

function put(place, text, kind = "") {
  if (place.textContent !== text) place.textContent = text;
  place.className = kind;
}

function drawParty(tile) {
  const [state, why, point] = tile.querySelectorAll("span"), { party } = tile.dataset;
  const cause = view.suspended[party] ?? "", took = view.took[party];
  if (cause.startsWith("drift: ")) put(state, "drifted", "tampered"); // no operator's cause begins so
  else put(state, cause ? "suspended" : "active", cause ? "revoked" : "");
  for (const button of tile.querySelectorAll("button")) button.hidden = (button.name === "withdraw") === (cause !== "");
  put(why, cause.startsWith("drift: ") ? cause : cause.replace(/ \(operator [^()]*\)$/, ""));
  const late = `first refused when it was called, ${took?.toFixed(1)} s after the order`;
  const refused = view.measured.includes(party) ? `refused after ${Math.round(1000 * took).toLocaleString("en")} ms` : late;
  if (view.ended && took !== undefined) put(point, `${refused}, until reinstated at ${clock(view.ended)}`, "faint");
  else if (view.serves[party]) put(point, `granted${since(party)}`, "granted");
  else put(point, took === undefined ? "" : refused, took === undefined ? "" : "refused");
}

/** Return how long the thief has been served since the last order, or that its call does not come through there. */
function since(party) {
  if (view.ended || view.asked < view.began) return "";
  const [from, here] = [view.target, party].map((one) => WAY.indexOf(one));
  const passes = view.target.includes(" ") || (from >= 0 && (here < 0 || here > from)); // a token, session or user
  return passes ? `, ${(now() - view.asked).toFixed(1)} s so far` : `: this call does not come through ${view.target}`;
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
