// Draws the plots of a page with uPlot, in the colours of its theme and as wide as there is room.
(function () {
  "use strict";
  var HEIGHT = 220;

  function colour(name) {
    return function () {
      return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
    };
  }

  function said(percent) {
    return function (value) {
      if (value === null || value === undefined) {
        return "";
      }
      return percent ? (100 * value).toFixed(1) + " %" : value.toFixed(2);
    };
  }

  function axes(data) {
    var grid = { stroke: colour("line"), width: 1 };
    var font = "12px system-ui, sans-serif";
    return [
      {
        stroke: colour("soft"), grid: { show: false }, ticks: { show: false }, font: font, space: 90, size: 28, gap: 6,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500],
        values: function (plot, places) {
          return places.map(function (place) {
            return data.labels[place] || "";
          });
        }
      },
      {
        stroke: colour("soft"), grid: grid, ticks: grid, font: font, size: 62,
        values: function (plot, values) {
          return values.map(said(data.percent));
        }
      }
    ];
  }

  function overTime(data) {
    var series = [{}], columns = [], bands = [];
    var hidden = { stroke: "transparent", points: { show: false } };
    if (data.low.some(function (value) { return value !== null; })) {  // below the line itself
      columns.push(data.high, data.low);
      series.push(hidden, hidden);
      bands.push({ series: [1, 2], fill: colour("accent-ground") });
    }
    data.lines.forEach(function (line) {
      columns.push(data.values.map(function () { return line; }));
      series.push({ stroke: colour("warn"), width: 1, dash: [5, 4], points: { show: false } });
    });
    columns.push(data.values, data.values.map(function (value, place) {
      return data.marks.indexOf(place) < 0 ? null : value;
    }));
    series.push(
      { stroke: colour("accent"), width: 2, points: { show: true, size: 6, fill: colour("accent") } },
      { stroke: "transparent", points: { show: true, size: 11, fill: colour(data.mark), stroke: colour(data.mark) } }
    );
    return { series: series, bands: bands, columns: columns };
  }

  function sideBySide(data) {
    function bars(name, align) {
      return {
        stroke: colour(name), fill: colour(name), width: 0, points: { show: false },
        paths: uPlot.paths.bars({ size: [0.38, 40], align: align })
      };
    }
    return { series: [{}, bars("soft", -1), bars("accent", 1)], bands: [], columns: [data.usual, data.now] };
  }

  function told(data, place) {
    var figure = said(data.percent);
    if (data.values === undefined) {
      return figure(data.usual[place]) + ", " + figure(data.now[place]);
    }
    var range = data.low[place] === null ? "" : " (" + figure(data.low[place]) + " – " + figure(data.high[place]) + ")";
    return figure(data.values[place]) + range;
  }

  function draw(place) {
    var data = JSON.parse(place.dataset.plot);
    var shown = data.values === undefined ? sideBySide(data) : overTime(data);
    var note = document.createElement("p");
    note.className = "soft small";
    note.textContent = "\u00a0";
    var count = data.labels.length;
    var options = {
      width: place.clientWidth, height: HEIGHT, legend: { show: false }, axes: axes(data),
      series: shown.series, bands: shown.bands, padding: [12, 24, 0, 0],
      cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
      scales: {
        x: { time: false, range: [-0.5, Math.max(count - 0.5, 0.5)] },
        y: data.values === undefined ? { range: function (plot, low, high) { return [0, high * 1.08]; } } : {}
      },
      hooks: {
        setCursor: [function (plot) {
          var at = plot.cursor.idx;
          note.textContent = at === null || at === undefined ? "\u00a0" : data.labels[at] + ": " + told(data, at);
        }]
      }
    };
    var numbers = data.labels.map(function (label, number) { return number; });
    var plot = new uPlot(options, [numbers].concat(shown.columns), place);
    place.after(note);
    new ResizeObserver(function () {
      plot.setSize({ width: place.clientWidth, height: HEIGHT });
    }).observe(place);
    var again = function () { plot.redraw(false, true); };
    new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  document.querySelectorAll(".plot").forEach(draw);
})();
