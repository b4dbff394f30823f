// The slider of the page of thresholds: which alarms there would have been. It changes nothing.

import { t } from "./base.js";

for (const field of document.querySelectorAll("#filters select")) {
  field.addEventListener("change", () => document.getElementById("filters").requestSubmit());
}

const data = document.getElementById("counts");
if (data) {
  const { points, in_force: force } = JSON.parse(data.textContent);
  const slider = document.getElementById("slider");
  const line = document.getElementById("tried");
  const now = points.findIndex((point) => point.threshold === force);
  const show = () => {
    const point = points[slider.value];
    const values = { threshold: point.threshold.toFixed(2), n: point.alarms, real: points[now].alarms };
    const sentence = Number(slider.value) === now ? t("thresholds.in_force_sentence", values) : t("thresholds.sentence", values);
    document.getElementById("sentence").textContent = sentence;
    slider.setAttribute("aria-valuetext", sentence);
    document.getElementById("value").textContent = point.threshold.toFixed(2);
    document.getElementById("alarms").textContent = point.alarms;
    document.getElementById("right").textContent = t("thresholds.of", { kept: point.right, all: points[now].right });
    document.getElementById("wrong").textContent = t("thresholds.of", { kept: point.wrong, all: points[now].wrong });
    line.setAttribute("x1", point.threshold * 1000);
    line.setAttribute("x2", point.threshold * 1000);
  };
  slider.value = now;
  slider.addEventListener("input", show);
  show();
}
