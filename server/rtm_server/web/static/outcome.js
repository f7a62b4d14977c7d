// How a calibration went: look again until it is known. What changed is put in place, so that it is read aloud.
const LOOK_EVERY_MS = 2500;
const look = async () => {
  const now = document.querySelector("[data-outcome]");
  if (!now || !now.hasAttribute("data-waits")) return;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const then = page.querySelector("[data-outcome]");
    if (!then) return location.reload(); // signed out, or something else stands there now
    const said = "[role=status]";
    if (then.querySelector(said).textContent !== now.querySelector(said).textContent) now.replaceChildren(...then.childNodes);
    now.toggleAttribute("data-waits", then.hasAttribute("data-waits"));
    now.dataset.outcome = then.dataset.outcome;
  } catch { /* the line dropped: the next look tells */ }
  setTimeout(look, LOOK_EVERY_MS);
};
if (document.querySelector("[data-waits]")) setTimeout(look, LOOK_EVERY_MS);
