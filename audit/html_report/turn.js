"use strict";
// The volumes turn, each in its place: by dragging, by the arrow keys, by buttons. Without scripts
// the picture stands still.
(function () {
  var main = document.querySelector("main");
  var START = { yaw: 25, pitch: -22 }, STEEPEST = 30, STEP = 5; // degrees
  var angles = { yaw: START.yaw, pitch: START.pitch };
  var dragged = null; // {x, y, yaw, pitch}: where it began

  function numbers(text) {
    return text.split(" ").map(Number);
  }

  // A point measured from a volume's center; depth grows away from the eye.
  function projected(point) {
    var yaw = angles.yaw * Math.PI / 180, pitch = angles.pitch * Math.PI / 180;
    var x = point[0] * Math.cos(yaw) + point[2] * Math.sin(yaw);
    var z = point[2] * Math.cos(yaw) - point[0] * Math.sin(yaw);
    return [x, point[1] * Math.cos(pitch) + z * Math.sin(pitch),
      z * Math.cos(pitch) - point[1] * Math.sin(pitch)];
  }

  // The corners of the side of a volume that faces the eye, of the two that lie across an axis.
  function face(size, axis) {
    var normal = [0, 0, 0];
    normal[axis] = 1;
    var sign = projected(normal)[2] < 0 ? 1 : -1;
    var others = [0, 1, 2].filter(function (other) { return other !== axis; });
    return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(function (corner) {
      var point = [0, 0, 0];
      point[axis] = sign * size[axis] / 2;
      others.forEach(function (other, n) { point[other] = corner[n] * size[other] / 2; });
      return projected(point);
    });
  }

  function draw(svg) {
    svg.querySelectorAll(".solid").forEach(function (solid) {
      var at = numbers(solid.dataset.at), size = numbers(solid.dataset.size), low = 0;
      ["side", "top", "front"].forEach(function (name, axis) {
        var corners = face(size, axis).map(function (point) {
          low = Math.max(low, point[1]);
          return rounded(at[0] + point[0]) + " " + rounded(at[1] + point[1]);
        });
        solid.querySelector("." + name).setAttribute("d", "M" + corners.join("L") + "z");
      });
      var label = solid.querySelector("text");
      label.setAttribute("y", rounded(Math.max(Number(solid.dataset.label), at[1] + low + 12)));
    });
  }

  function rounded(value) {
    return Math.round(value * 1000) / 1000;
  }

  function turn(yaw, pitch) {
    angles = { yaw: yaw % 360, pitch: Math.max(-STEEPEST, Math.min(STEEPEST, pitch)) };
    main.querySelectorAll("svg.v").forEach(draw);
  }

  var MOVES = {
    ArrowLeft: function () { turn(angles.yaw - STEP, angles.pitch); },
    ArrowRight: function () { turn(angles.yaw + STEP, angles.pitch); },
    ArrowUp: function () { turn(angles.yaw, angles.pitch - STEP); },
    ArrowDown: function () { turn(angles.yaw, angles.pitch + STEP); },
    Home: function () { turn(START.yaw, START.pitch); }
  };

  function volumes(target) {
    return target.closest ? target.closest("svg.v") : null;
  }

  main.addEventListener("keydown", function (event) {
    if (!volumes(event.target) || !MOVES[event.key]) return;
    MOVES[event.key]();
    event.preventDefault();
  });
  main.addEventListener("pointerdown", function (event) {
    var svg = volumes(event.target);
    if (!svg || event.pointerType === "touch" || event.button) return; // a finger scrolls
    dragged = { x: event.clientX, y: event.clientY, yaw: angles.yaw, pitch: angles.pitch };
    svg.classList.add("dragged");
    svg.setPointerCapture(event.pointerId);
  });
  main.addEventListener("pointermove", function (event) {
    if (!dragged) return;
    turn(dragged.yaw + (event.clientX - dragged.x) / 2,
      dragged.pitch + (event.clientY - dragged.y) / 2);
  });
  ["pointerup", "pointercancel"].forEach(function (name) {
    main.addEventListener(name, function () {
      dragged = null;
      main.querySelectorAll(".dragged").forEach(function (svg) { svg.classList.remove("dragged"); });
    });
  });

  function begin() {
    main.querySelectorAll("svg.v").forEach(function (svg) {
      svg.setAttribute("role", "group");
      svg.setAttribute("tabindex", "0");
      svg.querySelectorAll(".solid").forEach(function (solid) {
        solid.setAttribute("tabindex", "0");
        solid.setAttribute("role", "img");
        solid.setAttribute("aria-label", solid.querySelector("title").textContent);
      });
    });
    turn(angles.yaw, angles.pitch);
  }

  var row = document.createElement("p");
  row.className = "turn";
  row.append("Turn it: drag, use the arrow keys, or ");
  [["left", "ArrowLeft"], ["right", "ArrowRight"], ["up", "ArrowUp"], ["down", "ArrowDown"],
    ["back", "Home"]].forEach(function (pair) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = pair[0];
    button.setAttribute("aria-label", "Turn the volumes " + pair[0]);
    button.addEventListener("click", MOVES[pair[1]]);
    row.append(button, " ");
  });
  main.querySelector(".volume .key").before(row);
  main.addEventListener("regions", begin);
  begin();
})();
