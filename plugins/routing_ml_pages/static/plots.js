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
        stroke: colour("soft"), grid: grid, ticks: grid, font: font, size: 70,
        values: function (plot, values) {
          return values.map(said(data.percent));
        }
      }
    ];
  }

  function overTime(data) {
    var series = [{}], columns = [], none = "transparent";
    [data.low, data.high].forEach(function (bounds) {  // not drawn themselves: the scale holds them
      columns.push(bounds);
      series.push({ stroke: none, points: { show: false } });
    });
    data.lines.forEach(function (line) {
      columns.push(data.values.map(function () { return line; }));
      series.push({ stroke: colour("warn"), width: 1, dash: [5, 4], points: { show: false } });
    });
    columns.push(data.values, data.values.map(function (value, place) {
      return data.marks.indexOf(place) < 0 ? null : value;
    }));
    var accent = colour("accent"), mark = colour(data.mark);
    series.push(
      { stroke: data.joined ? accent : none, width: 2, points: { show: true, size: 6, stroke: accent, fill: accent } },
      { stroke: none, points: { show: true, size: 11, stroke: mark, fill: mark } }
    );
    return { series: series, columns: columns, before: [function (plot) { intervals(plot, data); }] };
  }

  function intervals(plot, data) {
    var pen = plot.ctx;
    pen.save();
    pen.strokeStyle = colour("accent")();
    pen.globalAlpha = 0.45;
    pen.lineWidth = 3 * devicePixelRatio;
    data.low.forEach(function (low, place) {
      if (low !== null && data.high[place] !== null) {
        var x = plot.valToPos(place, "x", true);
        pen.beginPath();
        pen.moveTo(x, plot.valToPos(low, "y", true));
        pen.lineTo(x, plot.valToPos(data.high[place], "y", true));
        pen.stroke();
      }
    });
    pen.restore();
  }

  function sideBySide(data) {
    function bars(name, align) {
      return {
        stroke: colour(name), fill: colour(name), width: 0, points: { show: false },
        paths: uPlot.paths.bars({ size: [0.38, 40], align: align })
      };
    }
    return { series: [{}, bars("soft", -1), bars("accent", 1)], columns: [data.usual, data.now], before: [] };
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
      series: shown.series, padding: [12, 24, 0, 0],
      cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
      scales: {
        x: { time: false, range: [-0.5, Math.max(count - 0.5, 0.5)] },
        y: data.values === undefined ? { range: function (plot, low, high) { return [0, high * 1.08]; } } : {}
      },
      hooks: {
        drawAxes: shown.before,
        setCursor: [function (plot) {
          var at = plot.cursor.idx;
          note.textContent = at === null || at === undefined ? "\u00a0" : data.labels[at] + ": " + told(data, at);
        }]
      }
    };
    var numbers = data.labels.map(function (label, number) { return number; });
    var plot = new uPlot(options, [numbers].concat(shown.columns), place);
    place.append(note);
    new ResizeObserver(function () {
      plot.setSize({ width: place.clientWidth, height: HEIGHT });
    }).observe(place);
    var again = function () { plot.redraw(false, true); };
    new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  document.querySelectorAll(".plot").forEach(draw);
})();
