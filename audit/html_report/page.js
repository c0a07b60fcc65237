"use strict";
// Hover, focus, levels, walk, slider and sorting. Every number comes from the page; none is computed here.
(function () {
  var main = document.querySelector("main");
  var panel = document.getElementById("panel");
  var walk = null; // {start, at}: the box that was clicked, and where the walk stands
  var sorted = null; // {column, down}: kept when the slider puts another table in place
  var touched = null; // a box that a finger is about to show for the first time

  function element(name, text) {
    var made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // === What a box or a skip says ===

  function show(item) {
    main.querySelectorAll(".current").forEach(function (old) { old.classList.remove("current"); });
    item.classList.add("current");
    if (!panel) return;
    var list = element("dl");
    JSON.parse(item.dataset.facts).forEach(function (fact) {
      var pair = element("div");
      pair.append(element("dt", fact[0]), element("dd", fact[1]));
      list.append(pair);
    });
    panel.replaceChildren(list);
  }

  // A level lights up on both sides: its boxes, its skips and its volumes.
  function light(item) {
    main.querySelectorAll(".lit").forEach(function (old) { old.classList.remove("lit"); });
    if (!item) return;
    var svg = item.closest("svg");
    [svg].concat(Array.from(main.querySelectorAll("svg.u, svg.v"))).forEach(function (each) {
      if (each !== svg && main.classList.contains("wide")) return; // another network's
      each.querySelectorAll('[data-level="' + item.dataset.level + '"]').forEach(function (one) {
        one.classList.add("lit");
      });
    });
  }

  function shown(target) {
    return target.closest ? target.closest("[data-facts]") : null;
  }

  main.addEventListener("pointerover", function (event) {
    var item = shown(event.target);
    light(event.target.closest("[data-level]") || document.activeElement.closest("[data-level]"));
    if (!item || event.pointerType === "touch") return;
    if (walk && item !== walk.start) walk = null;
    if (!walk) show(item);
  });
  main.addEventListener("pointerdown", function (event) {
    var item = shown(event.target);
    touched = event.pointerType === "touch" && item && !item.classList.contains("current")
      ? item : null;
  });
  main.addEventListener("focusin", function (event) {
    var item = shown(event.target);
    light(event.target.closest("[data-level]"));
    if (item) show(item);
  });

  // === The data's way ===

  function within(item, selector) {
    return item.closest("svg").querySelector(selector);
  }

  function step(from) {
    var next = from.classList.contains("skip") ? from.dataset.to : from.dataset.next;
    if (next === undefined || next === "") return from;
    if (from.dataset.box !== undefined) {
      var way = within(from, '.way[data-from="' + from.dataset.box + '"][data-to="' + next + '"]');
      if (way) way.classList.add("walked");
    }
    return reach(within(from, '.box[data-box="' + next + '"]'));
  }

  function reach(item) {
    item.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest", inline: "nearest" });
    show(item);
    return item;
  }

  function forget(item) {
    item.closest("svg").querySelectorAll(".walked").forEach(function (way) {
      way.classList.remove("walked");
    });
  }

  main.addEventListener("click", function (event) {
    var item = shown(event.target);
    if (!item) return;
    if (touched === item) { show(item); return; }
    if (!walk || walk.start !== item) {
      forget(item);
      walk = { start: item, at: item };
    }
    walk.at = step(walk.at);
  });
  main.addEventListener("keydown", function (event) {
    var item = shown(event.target);
    if (!item) return;
    var all = Array.from(item.closest("svg").querySelectorAll("[data-facts]"));
    var at = all.indexOf(item);
    if (event.key === "Enter" || event.key === " ") step(item);
    else if (event.key === "ArrowRight" && at + 1 < all.length) reach(all[at + 1]);
    else if (event.key === "ArrowLeft" && at > 0) reach(all[at - 1]);
    else if (event.key === "Escape") forget(item);
    else return;
    event.preventDefault();
  });

  // === Sorting ===

  function value(row, column) {
    var cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return 1;
    if (typeof b === "number") return -1;
    return a.localeCompare(b, "en", { numeric: true });
  }

  function sort(table) {
    var body = table.tBodies[0];
    var rows = Array.from(body.rows);
    rows.sort(function (a, b) {
      var order = compare(value(a, sorted.column), value(b, sorted.column));
      return sorted.down ? -order : order;
    });
    body.append.apply(body, rows);
    Array.from(table.tHead.rows[0].cells).forEach(function (head, n) {
      var direction = sorted.down ? "descending" : "ascending";
      if (n === sorted.column) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
  }

  function sortable(table) {
    Array.from(table.tHead.rows[0].cells).forEach(function (head, n) {
      var button = element("button", head.textContent);
      button.type = "button";
      button.addEventListener("click", function () {
        var numbers = head.classList.contains("n") && n > 0;
        sorted = { column: n, down: sorted && sorted.column === n ? !sorted.down : numbers };
        sort(table);
      });
      head.replaceChildren(button);
    });
    if (sorted) sort(table);
  }

  // === Input sizes ===

  function begin() {
    main.querySelectorAll("table.sortable").forEach(sortable);
    main.querySelectorAll("[data-facts]").forEach(function (item) {
      item.setAttribute("role", "button");
    });
  }

  function resize(number) {
    var template = main.querySelector('template[data-size="' + number + '"]');
    var current = main.querySelector(".current");
    var index = current ? Array.from(main.querySelectorAll("[data-facts]")).indexOf(current) : -1;
    template.content.querySelectorAll("[data-region]").forEach(function (region) {
      var place = main.querySelector('[data-region="' + region.dataset.region + '"]');
      var left = place.firstElementChild.scrollLeft;
      place.replaceChildren.apply(place, region.cloneNode(true).childNodes);
      place.firstElementChild.scrollLeft = left;
    });
    walk = null;
    begin();
    main.dispatchEvent(new Event("regions"));
    if (index >= 0) show(main.querySelectorAll("[data-facts]")[index]);
  }

  var form = document.querySelector(".slider");
  if (form) {
    var range = form.querySelector("input");
    var labels = range.dataset.labels.split("|");
    var place = function () {
      var label = labels[Number(range.value)];
      form.querySelector("output").textContent = label;
      range.setAttribute("aria-valuetext", label);
    };
    range.value = range.defaultValue;
    place();
    range.addEventListener("input", function () { place(); resize(Number(range.value)); });
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.hidden = false;
  }
  begin();
  if (panel) {
    panel.append(element("p", "Point at a box or a skip, or move to it with Tab or the arrow keys, " +
      "to see its numbers. Click it or press Enter to follow the data."));
    panel.hidden = false;
  }
})();
