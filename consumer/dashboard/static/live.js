// Replaces what is live with what the server sends. Where the stream breaks, the page says so, and the browser connects again.
const live = document.getElementById("live");
const source = new EventSource(live.dataset.events);
source.onmessage = (event) => {
  const focused = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  live.innerHTML = event.data;
  live.classList.remove("stale");
  if (focused) live.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
};
source.onerror = () => live.classList.add("stale");
