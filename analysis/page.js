// Two things that paper cannot do: tables sort by the column that is clicked, and a curve that is pointed at says whose
// it is and marks its row (and the other way round). The keyboard does both: a curve and a row can be tabbed to, and the
// arrow keys go on to the next. Without this script the page is whole all the same.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = down ? "descending" : "ascending";
      sortRows(table.tBodies[0], column, down ? -1 : 1);
    });
  });
}

function sortRows(body, column, sign) {
  const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const rows = [...body.rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // what is missing comes last, up or down
    const difference = Number(a) - Number(b);
    return sign * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
  });
  body.append(...rows.map(([, row]) => row));
}

const said = document.querySelector("#pointed");
const parts = document.querySelectorAll("[data-trial]");

function point(trial, on) {
  for (const part of parts) if (part.dataset.trial === trial) part.classList.toggle("pointed", on);
  const curve = document.querySelector(`.curve[data-trial="${CSS.escape(trial)}"] title`);
  if (said && on && curve) said.textContent = curve.textContent;
}

for (const part of parts) {
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) {
    part.addEventListener(event, () => point(part.dataset.trial, on));
  }
}

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

function walk(box, selector) {
  const all = () => [...box.querySelectorAll(selector)]; // anew: rows may have been sorted
  box.addEventListener("keydown", (event) => {
    const places = all();
    const here = places.indexOf(document.activeElement);
    const next = { Home: 0, End: places.length - 1 }[event.key] ?? here + (STEPS[event.key] ?? NaN);
    if (here < 0 || !places[next]) return;
    event.preventDefault();
    places[here].tabIndex = -1;
    places[next].tabIndex = 0;
    places[next].focus();
  });
}

for (const chart of document.querySelectorAll(".chart svg")) walk(chart, ".curve");
for (const body of document.querySelectorAll("table.sortable tbody")) {
  [...body.rows].forEach((row, place) => (row.tabIndex = place ? -1 : 0));
  walk(body, "tr");
}
