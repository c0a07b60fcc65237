"use strict";
// The switches put another mask and its sentence in place. Nothing is computed here.
(function () {
  var form = document.querySelector(".switches");
  var switches = Array.from(form.querySelectorAll("[role=switch]"));
  var rows = Array.from(document.querySelectorAll("[data-on]"));
  var mask = document.querySelector(".view .mask");
  var said = document.getElementById("said");
  var outline = document.getElementById("outline");

  function show() {
    var on = switches.map(function (each) { return each.checked ? "1" : "0"; }).join("");
    rows.forEach(function (row) {
      var current = row.dataset.on === on;
      row.classList.toggle("current", current);
      row.querySelector("button").setAttribute("aria-pressed", current);
      if (!current) return;
      mask.src = row.dataset.mask;
      if (said.textContent !== row.dataset.said) said.textContent = row.dataset.said;
    });
    document.querySelectorAll("[data-classes]").forEach(function (table) {
      table.hidden = table.dataset.classes !== on;
    });
    document.querySelectorAll("[data-skip]").forEach(function (line, n) {
      line.classList.toggle("off", on[n] === "0");
    });
  }

  function turn(on) {
    switches.forEach(function (each, n) { each.checked = on[n] === "1"; });
    show();
  }

  rows.forEach(function (row) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = row.cells[0].textContent;
    button.addEventListener("click", function () { turn(row.dataset.on); });
    row.cells[0].replaceChildren(button);
  });
  form.addEventListener("change", show);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.querySelectorAll("[data-all]").forEach(function (button) {
    button.addEventListener("click", function () {
      turn(switches.map(function () { return button.dataset.all; }).join(""));
    });
  });
  if (outline) {
    outline.addEventListener("change", function () {
      document.querySelector(".view .outline").hidden = !outline.checked;
    });
    document.querySelector(".see").hidden = false;
  }
  form.hidden = false;
  show();
})();
