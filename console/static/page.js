// What the scripts of several pages share.  All that comes is text: nothing here makes markup of it.

export const SECOND = 1000; // in milliseconds

export const by = (id) => document.getElementById(id);

/** Return a new element of a class, or of none, with its content: texts and other elements. */
export function element(name, kind, ...content) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...content);
  return made;
}

/** Return a time, in seconds since the epoch, by this browser's clock: its date, its time, and its zone. */
export const clock = (seconds) =>
  new Date(seconds * SECOND).toLocaleString([], {dateStyle: "medium", timeStyle: "long"});

for (const time of document.querySelectorAll("time[datetime]")) {
  time.textContent = clock(Date.parse(time.dateTime) / SECOND);
}
