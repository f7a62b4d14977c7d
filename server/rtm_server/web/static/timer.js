// A running timer that fills in the minutes. It stops counting when nobody moves for a while: idle time is no service.
const form = document.querySelector("form[data-timer]");
if (form) {
  const IDLE_MS = 120_000; // two minutes without a key, a click or a scroll
  const box = document.createElement("div");
  box.className = "timer";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Start timer";
  const shown = document.createElement("output");
  shown.setAttribute("aria-label", "Timer");
  shown.textContent = "0:00";
  const state = document.createElement("small");
  box.append(button, shown, state);
  form.prepend(box);
  let counted = 0, idle = 0, last = 0, active = 0, running = false;
  const touch = () => { active = Date.now(); };
  for (const name of ["keydown", "pointerdown", "pointermove", "scroll"]) addEventListener(name, touch, { passive: true });
  const step = () => {
    const now = Date.now();
    const until = Math.min(now, active + IDLE_MS);
    const moved = Math.max(0, until - last);
    counted += moved;
    idle += now - last - moved;
    last = now;
    const seconds = Math.floor(counted / 1000);
    shown.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    state.textContent = now > active + IDLE_MS ? "paused: nothing happened for two minutes" : "";
  };
  let ticking = 0;
  button.addEventListener("click", () => {
    touch();
    running = !running;
    if (running) {
      last = Date.now();
      ticking = setInterval(step, 1000);
      button.textContent = "Stop timer";
    } else {
      step();
      clearInterval(ticking);
      button.textContent = "Start timer";
      form.elements.minutes.value = (Math.floor(counted / 6000) / 10).toFixed(1);
      form.elements.idle.value = (Math.floor(idle / 6000) / 10).toFixed(1);
      const now = new Date();
      // the field is in the clinic's zone, whatever this computer's is
      const parts = Object.fromEntries(new Intl.DateTimeFormat("en-CA", { timeZone: form.dataset.zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).formatToParts(now).map((p) => [p.type, p.value]));
      form.elements.ended.value = `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
    }
  });
}
