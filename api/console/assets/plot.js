// Plots of a time series: an element with data-plot, whose first table has the numbers. Without this file, the table shows.
import uPlot from "uplot";

const lines = ["--link", "--wrong", "--well", "--look"];

function plot(element) {
  const table = element.querySelector("table");
  const heads = [...table.tHead.rows[0].cells].slice(1).map(cell => cell.textContent);
  const rows = [...table.tBodies[0].rows];
  const data = [rows.map(row => new Date(row.cells[0].querySelector("time").dateTime) / 1000)];
  for (let i = 0; i < heads.length; i++) data.push(rows.map(row => row.cells[i + 1].textContent === "" ? null : Number(row.cells[i + 1].textContent)));
  const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const reloads = (element.dataset.reloads || "").split(",").filter(Boolean).map(text => new Date(text) / 1000);
  const axis = { stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
  const chart = new uPlot({
    width: element.clientWidth, height: 180, tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"), cursor: { drag: { x: false, y: false } },
    series: [{}, ...heads.map((label, i) => ({ label, stroke: color(lines[i % lines.length]), width: 2, dash: i ? [6, 3 + i] : undefined }))],
    axes: [axis, { ...axis, size: 60 }],
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
