// @ts-check
// What the page says, beside what it shares with the dashboard. Names stand where no suffix
// follows: which one it would be in Turkish, vowel harmony decides, and names do not say.

/** @param {number | string} n */
const gateways = (n) => (String(n) === "1" ? "1 gateway" : `${n} gateways`);

const english = {
  /** @type {Record<string, string>} */
  presence: { here: "here", away: "away", never: "never here", revoked: "revoked" },
  since: (/** @type {string} */ state, /** @type {string} */ time) => `${state} for ${time}`,
  summary: (/** @type {string} */ all, /** @type {string} */ here, /** @type {string} */ away, /** @type {string} */ alarms) => `${gateways(all)} · ${here} here · ${away} away · ${alarms} with alarms`,
  group: (/** @type {string} */ all, /** @type {string} */ here, /** @type {string} */ alarms) => `${gateways(all)}, ${here} here${alarms === "0" ? "" : `, ${alarms} with alarms`}`,
  more: (/** @type {string} */ first, /** @type {number} */ n) => (n ? `${first} +${n}` : first),
  lag: "lag",
  audit: "audit log changed",
  twin: "two devices with this name",
  uplink: "few bytes left",
  live: "up to date",
  old: (/** @type {string} */ time) => `${time} old`,
  trouble: (/** @type {string} */ why) => `The hub does not answer: ${why}. What is shown is of before; it is asked again.`,
  logIn: "You are not logged in, or no longer.",
  siteLost: (/** @type {string} */ site, /** @type {string} */ time, /** @type {string} */ why) => `${site}: for ${time} this hub has had no connection to the broker (${why}). What is shown of its gateways is of before.`,
  none: "No gateway has this in its name, site or version.",
  noGateways: "No gateway has enrolled at a site of this hub.",
  units: ["B", "kB", "MB", "GB", "TB"],
};

/** @type {typeof english} */
const turkish = {
  presence: { here: "bağlı", away: "bağlı değil", never: "hiç bağlanmadı", revoked: "iptal edildi" },
  since: (state, time) => `${time}: ${state}`,
  summary: (all, here, away, alarms) => `${all} ağ geçidi · ${here} bağlı · ${away} bağlı değil · ${alarms} alarmlı`,
  group: (all, here, alarms) => `${all} ağ geçidi, ${here} bağlı${alarms === "0" ? "" : `, ${alarms} alarmlı`}`,
  more: (first, n) => (n ? `${first} +${n}` : first),
  lag: "gecikme",
  audit: "denetim kaydı değişmiş",
  twin: "bu adla iki aygıt",
  uplink: "az bayt kaldı",
  live: "güncel",
  old: (time) => `${time} eski`,
  trouble: (why) => `Merkez yanıt vermiyor: ${why}. Gösterilenler eski; yeniden deneniyor.`,
  logIn: "Oturum açmadınız ya da oturumunuz sona erdi.",
  siteLost: (site, time, why) => `${site}: merkezin aracı sunucuya bağlantısı ${time} önce koptu (${why}). Bu sitenin ağ geçitleri için gösterilenler eski.`,
  none: "Adında, sitesinde ya da sürümünde bu geçen ağ geçidi yok.",
  noGateways: "Bu merkezin sitelerine kayıtlı ağ geçidi yok.",
  units: ["B", "kB", "MB", "GB", "TB"],
};

/** The texts of index.html. @type {Record<string, string>} */
const page = {
  "Gateways": "Ağ geçitleri",
  "All gateways of this hub": "Bu merkezin bütün ağ geçitleri",
  "connecting…": "bağlanıyor…",
  "Show gateways with this in their name, site or version": "Adında, sitesinde ya da sürümünde bu geçen ağ geçitlerini göster",
  "Search": "Ara",
  "Site": "Site",
  "All": "Tümü",
  "Sort by": "Sırala",
  "Name": "Ad",
  "Alarms": "Alarmlar",
  "Away first": "Önce bağlı olmayanlar",
  "Lag of the log": "Kaydın gecikmesi",
  "Newest reading": "En yeni ölçüm",
  "Version": "Sürüm",
  "Bytes this month": "Bu ayki veri",
  "By site": "Siteye göre",
  "Gateway": "Ağ geçidi",
  "State": "Durum",
  "Newest readings": "En yeni ölçümler",
  "Lag": "Gecikme",
  "This month": "Bu ay",
};

const isTurkish = document.documentElement.dataset.language === "tr";

/** As the browser's language has them. */
export const said = isTurkish ? turkish : english;

/** Has a text of index.html in that language. @param {string} text @returns {string | undefined} */
export const spoken = (text) => (isTurkish && Object.hasOwn(page, text) ? page[text] : undefined);

export const all = { english, turkish, page }; // for the tests
