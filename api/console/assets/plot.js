// Plots of a time series: an element with data-plot, whose first table has the numbers. Without this file, the table shows.
import uPlot from "uplot";

const lines = ["--link", "--wrong", "--well", "--look"];
const hour = 3600;

// Times are those of the viewer's clock, as in the texts of the page: 2026-01-31 17:05, and 17:05 where the day is no question.
const two = n => String(n).padStart(2, "0");
const clock = seconds => { const t = new Date(seconds * 1000); return two(t.getHours()) + ":" + two(t.getMinutes()); };
const day = seconds => { const t = new Date(seconds * 1000); return t.getFullYear() + "-" + two(t.getMonth() + 1) + "-" + two(t.getDate()); };

// Numbers on an axis are as short as they can be; the axis is as wide as the widest, and half a time at least.
const numbers = (u, all) => all.map(v => v === null ? "" : v >= 1e6 ? v / 1e6 + "M" : v >= 1e4 ? v / 1e3 + "k" : String(+v.toPrecision(6)));
function room(u, values, axis) {
  const a = u.axes[axis];
  if (!values) return 50;
  u.ctx.font = a.font[0];
  return Math.ceil(Math.max(14, ...values.map(v => u.ctx.measureText(v).width)) / devicePixelRatio) + a.gap + a.ticks.size + 2;
}

// A number with none on either side is no part of a line: it is a point, however close the others are.
const alone = (u, series, show) => show ? null : u.data[series].flatMap((v, i, all) => v !== null && (all[i - 1] ?? null) === null && (all[i + 1] ?? null) === null ? [i] : []);

function plot(element) {
  const table = element.querySelector("table");
  const heads = [...table.tHead.rows[0].cells].slice(1).map(cell => cell.textContent);
  const rows = [...table.tBodies[0].rows];
  const data = [rows.map(row => new Date(row.cells[0].querySelector("time").dateTime) / 1000)];
  for (let i = 0; i < heads.length; i++) data.push(rows.map(row => row.cells[i + 1].textContent === "" ? null : Number(row.cells[i + 1].textContent)));
  const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const reloads = (element.dataset.reloads || "").split(",").filter(Boolean).map(text => new Date(text) / 1000);
  const [quiet, line] = [() => color("--quiet"), () => color("--line")]; // asked for at each drawing: the system may turn dark meanwhile
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, size: 6 } };
  const to = data[0].length ? data[0][data[0].length - 1] : Date.now() / 1000;
  const nothing = element.querySelector(".nothing") !== null;
  const chart = new uPlot({
    width: element.clientWidth, height: 180, cursor: { drag: { x: false, y: false } },
    padding: [10, 24, 0, null], // a label at the end of the axis has room for its second half
    scales: { x: { range: [to - hour, to] }, y: { range: (u, min, max) => [0, max > 0 ? uPlot.rangeNum(0, max, 0.1, true)[1] : 1] } },
    series: [
      { value: (u, v) => v === null ? "--" : day(v) + " " + clock(v) },
      ...heads.map((label, i) => ({ label, stroke: () => color(lines[i % lines.length]), width: 2, dash: i ? [6, 3 + i] : undefined, points: { filter: alone } })),
    ],
    axes: [
      { ...axis, space: 60, size: 32, incrs: [300, 600, 900, 1200, 1800], values: (u, all) => all.map(clock) },
      { ...axis, size: room, values: nothing ? (u, all) => all.map(() => "") : numbers },
    ],
    hooks: {
      draw: [u => {
        u.ctx.save();
        u.ctx.strokeStyle = color("--look");
        u.ctx.setLineDash([2, 4]);
        for (const at of reloads) {
          const x = Math.round(u.valToPos(at, "x", true));
          u.ctx.beginPath();
          u.ctx.moveTo(x, u.bbox.top);
          u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
          u.ctx.stroke();
        }
        u.ctx.restore();
      }],
    },
  }, data, element);
  chart.root.setAttribute("role", "img");
  chart.root.setAttribute("aria-label", element.dataset.plot);
  table.classList.add("unseen");
  table.parentElement.removeAttribute("tabindex"); // nothing is left there to scroll: a stop for keys that nobody sees
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (element.isConnected) chart.redraw(); });
  new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: 180 })).observe(element);
}

function all(within) {
  for (const element of within.querySelectorAll("[data-plot]:not([data-plotted])")) {
    element.dataset.plotted = "1";
    plot(element);
  }
}

all(document);
document.addEventListener("htmx:afterSwap", event => all(event.target));
