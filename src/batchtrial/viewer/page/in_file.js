// The pairs that a file carries: columns first, texts by blocks when they are asked for. It answers what the server answers, by the same names.
/** @import { Bins, File, Numbers } from "./types" */

import { chosenByOutcome, isEverything, slotOf } from "./address.js";
import { matched } from "./beside.js";
import { compare, withoutRounding } from "./stats.js";

export const OUTCOMES = ["both_right", "won", "lost", "both_wrong", "same", "incomplete", "no_score"];
const FLAGS = { abstained_control: ["abstain_rate", 0], abstained_treatment: ["abstain_rate", 1], false_control: ["false_answer_rate", 0], false_treatment: ["false_answer_rate", 1] };
const BY_OUTCOME = "chosen by the outcome: an interval would mean nothing";
const EXCERPT = 320;

/** @type {(text: string) => Promise<any>} */
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** The source of a page that carries its data. blocks: what gives the text of a named block. */
/** @type {(blocks: (name: string) => string) => Promise<File>} */
export async function fileSource(blocks) {
  const data = await unpacked(blocks("columns"));
  const texts = new Map();
  const known = new Map();
  const labels = new Map();

  const block = async (number) => {
    if (!texts.has(number)) texts.set(number, unpacked(blocks(`texts-${number}`)));
    return texts.get(number);
  };
  const itemAt = async (place) => {
    let [low, high] = [0, data.starts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (data.starts[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return (await block(low))[place - data.starts[low]];
  };
  const trialOf = (ask) => data.about.trials.find((one) => one.slug === ask.trial && one.temp === ask.temp) || data.about.trials[0];
  const metricOf = (trial, name) => trial.metrics.find((one) => one.name === name) || trial.metrics[0];
  const armsOf = (trial) => [data.arms[trial.control], data.arms[trial.treatment]];
  const isAsked = (trial, place) => armsOf(trial).every((arm) => arm.n_lost[place] !== null);
  const judgedOf = (trial) => data.judged[`${trial.slug}/${trial.temp}`] || {};
  const paired = new Map();
  const scoresOf = (trial, column) => {
    const key = JSON.stringify([trial.slug, trial.temp, column]);
    if (!paired.has(key)) {
      const [control, treatment] = judgedOf(trial)[column]?.scores || armsOf(trial).map((arm) => arm.scores[column] || new Array(data.n).fill(null));
      paired.set(key, [control, withoutRounding(treatment, control)]);
    }
    return paired.get(key);
  };
  const changeOf = (trial, metric) => {
    const [control, treatment] = scoresOf(trial, metric.column);
    return control.map((value, place) => { const change = minus(treatment[place], value); return change === null ? null : change * (metric.higher_is_better ? 1 : -1); });
  };

  function outcomes(trial, metric) {
    const key = `${trial.slug}/${trial.temp}/${metric.name}`;
    if (!known.has(key)) known.set(key, outcomesOf(trial, metric, armsOf(trial), scoresOf, data.n));
    return known.get(key);
  }

  function number(trial, metric, name) {
    if (name.startsWith("d.")) {
      const [control, treatment] = scoresOf(trial, metricOf(trial, name.slice(2)).column);
      return control.map((value, place) => minus(treatment[place], value));
    }
    const [what, arm] = name.split("_");
    const [control, treatment] = what === "score" ? scoresOf(trial, metric.column) : armsOf(trial).map((one) => one[what]);
    return arm === "change" ? control.map((value, place) => minus(treatment[place], value)) : arm === "control" ? control : treatment;
  }

  /** A page of a long text of an item; its first stands in the item. */
  async function more(place, key, number) {
    const [first] = data.more[`${place}/${key}`] || [];
    if (first === undefined) throw new Error("the rest did not fit into this file: `batchtrial view` shows it.");
    return unpacked(blocks(`more-${first + number - 1}`));
  }

  /** The whole of a text of an item, as far as the file holds it. */
  async function wholeOf(place, key, text) {
    const [, n] = data.more[`${place}/${key}`] || [0, 0];
    const rest = [];
    for (let number = 1; number <= n; number += 1) rest.push(await more(place, key, number));
    return text + rest.join("");
  }

  async function found(ask, trial) {
    const { text, where, is_pattern: isPattern } = ask.search;
    /** @type {string[]} */
    const texts = [];
    /** @type {[place: number, which: number][]} */
    const of = [];
    const pattern = isPattern ? patternOf(text) : null;
    for (let place = 0; place < data.n; place += 1) {
      const item = await itemAt(place);
      const said = where === "question" ? [] : [trial.control, trial.treatment].flatMap((arm, which) => item.by_arm[arm].map((one, sample) => [which + 1, `answer/${arm}/${sample}`, one.text]));
      for (const [which, key, one] of [...(where === "any" || where === "question" ? [[0, "question", item.question]] : []), ...said]) {
        texts.push(item.long && item.long[key] ? await wholeOf(place, key, one) : one);
        of.push([place, which]);
      }
    }
    const lower = text.toLowerCase();
    const hits = pattern ? await matched(pattern.source, texts) : texts.map((one) => one.toLowerCase().includes(lower));
    const held = [0, 1, 2].map(() => new Uint8Array(data.n));
    hits.forEach((isIn, at) => { if (isIn) held[of[at][1]][of[at][0]] = 1; });
    return Array.from({ length: data.n }, (_, place) => {
      const [asked, control, treatment] = held.map((mask) => Boolean(mask[place]));
      return { any: asked || control || treatment, question: asked, control, treatment, control_only: control && !treatment, treatment_only: treatment && !control }[where];
    });
  }

  /** Whether a judge says that of a pair. It is held against the metric of the slice, or the trial's first that is no judge where that is one itself. */
  function saidBy(ask, trial, metric, name, said) {
    const judge = trial.metrics.find((one) => one.name === name && one.judge);
    if (!judge) throw new Error(`no judge ${name} has seen these arms`);
    const prefers = changeOf(trial, { ...judge, higher_is_better: true }).map((value) => (value === null ? null : Math.sign(value)));
    const other = changeOf(trial, metric.judge ? trial.metrics.find((one) => !one.judge) || metric : metric);
    const flipped = new Set(judgedOf(trial)[name].flipped);
    const found = {
      treatment: (place) => prefers[place] === 1, control: (place) => prefers[place] === -1, neither: (place) => prefers[place] === 0, nothing: (place) => prefers[place] === null,
      orders: (place) => flipped.has(place), metric: (place) => prefers[place] * other[place] < 0,
      label: (place) => prefers[place] === { better: -1, worse: 1 }[labels.get(slotOf(ask, data.keys[place]))],
    }[said];
    if (!found) throw new Error(`a judge says nothing like ${said}`);
    return found;
  }

  async function withoutChips(ask, trial, metric) {
    const tests = [];
    for (const [name, wanted] of Object.entries(ask.values)) {
      const column = data.items[name];
      const codes = new Set(wanted.map((value) => column.values.indexOf(value)));
      tests.push((place) => column.codes[place] !== null && codes.has(column.codes[place]));
    }
    for (const [name, [low, high]] of Object.entries(ask.ranges)) {
      const values = number(trial, metric, name);
      tests.push((place) => values[place] !== null && (low === null || values[place] >= low) && (high === null || values[place] <= high));
    }
    const isLabelled = { yes: (one) => one !== undefined, no: (one) => one === undefined }[ask.labelled] || ((one) => one === ask.labelled);
    if (ask.labelled) tests.push((place) => isLabelled(labels.get(slotOf(ask, data.keys[place]))));
    for (const [name, said] of Object.entries(ask.judged)) tests.push(saidBy(ask, trial, metric, name, said));
    if (ask.search.text) {
      const mask = await found(ask, trial);
      tests.push((place) => mask[place]);
    }
    const places = [];
    for (let place = 0; place < data.n; place += 1) if (isAsked(trial, place) && tests.every((test) => test(place))) places.push(place);
    return places;
  }

  function ordered(ask, trial, metric, places) {
    if (ask.sort === "place") {
      const codes = outcomes(trial, metric).codes;
      const isBare = (place) => OUTCOMES[codes[place]] === "no_score";
      const found = ask.is_down ? places.slice().reverse() : places;
      return [...found.filter((place) => !isBare(place)), ...found.filter(isBare)];
    }
    let keys;
    const change = changeOf(trial, metric);
    if (ask.sort === "effect") keys = change;
    else if (ask.sort === "size") keys = change.map((value) => (value === null ? null : -Math.abs(value)));
    else if (ask.sort === "informative") keys = informative(trial, change);
    else keys = number(trial, metric, ask.sort);
    const last = (place) => (keys[place] === null ? Infinity : ask.is_down ? -keys[place] : keys[place]);
    return places.slice().sort((a, b) => (last(a) === last(b) ? a - b : last(a) < last(b) ? -1 : 1));
  }

  /** Least where the metric and the judges contradict each other most; among those alike, where the metric changed most. */
  function informative(trial, change) {
    const said = trial.metrics.filter((one) => one.judge).map((one) => changeOf(trial, one));
    const flips = Object.values(judgedOf(trial)).map((one) => new Set(one.flipped));
    return change.map((value, place) => {
      const signs = [value, ...said.map((one) => one[place])].filter((one) => one !== null).map(Math.sign);
      const size = Math.abs(value ?? 0);
      return -(2 * (signs.length ? Math.max(...signs) - Math.min(...signs) : 0) + Number(flips.some((one) => one.has(place)))) - size / (1 + size);
    });
  }

  function sliceOf(ask, trial, metric, places) {
    const codes = outcomes(trial, metric).codes;
    const counts = Object.fromEntries(OUTCOMES.map((name) => [name, 0]));
    for (const place of places) counts[OUTCOMES[codes[place]]] += 1;
    const made = { n: places.length, counts };
    if (data.whole) {
      const whole = data.whole[`${trial.slug}/${trial.temp}`][metric.name];
      if (isEverything(ask)) return whole.slice;
      return { ...made, withheld: "this file holds a part of the pairs, chosen by how they ended: an interval over them would mean nothing" };
    }
    if (chosenByOutcome(ask)) return { ...made, withheld: BY_OUTCOME };
    if (trial.withheld) return { ...made, withheld: trial.withheld };
    const one = comparison(trial, metric, places);
    return one ? { ...made, ...one } : { ...made, withheld: "no pair of this slice has the metric" };
  }

  function comparison(trial, metric, places) {
    const [control, treatment] = scoresOf(trial, metric.column);
    const mine = metric.is_total ? places : places.filter((place) => control[place] !== null || treatment[place] !== null);
    if (!mine.length) return null;
    const pick = (values) => mine.map((place) => values[place]);
    return {
      level: 1 - data.about.alpha,
      ...compare({
        control: pick(control), treatment: pick(treatment), clusters: data.about.clusters ? pick(data.clusters) : null, samples: trial.samples,
        isRate: metric.is_rate, isNumber: metric.is_number, limits: metric.limits, level: 1 - data.about.alpha, z: data.z,
      }),
    };
  }

  let last = { key: "", places: [] };

  /** The places of a slice in order, kept until another one is asked for. */
  async function placesOf(ask) {
    const key = JSON.stringify([ask, ask.labelled ? [...labels] : 0]);
    if (last.key === key) return last;
    const trial = trialOf(ask);
    const metric = metricOf(trial, ask.metric);
    const base = await withoutChips(ask, trial, metric);
    const kinds = outcomes(trial, metric);
    last = { key, base, places: ordered(ask, trial, metric, base.filter(kinds.passes(ask.chips))) };
    return last;
  }

  async function query(ask, item = null) {
    const trial = trialOf(ask);
    const metric = metricOf(trial, ask.metric);
    const { base, places } = await placesOf(ask);
    const isWhole = data.whole && isEverything({ ...ask, chips: [] });
    const chips = isWhole ? data.whole[`${trial.slug}/${trial.temp}`][metric.name].chips : outcomes(trial, metric).counts(base);
    const at = item === null ? -1 : places.indexOf(item);
    return { n: places.length, chips, slice: sliceOf(ask, trial, metric, places), at: at < 0 ? null : at };
  }

  /** An arm's scores by a metric of two arms, null where it has none: what a judge says of two answers is no score of a third. */
  function scoresOfArm(trial, metric, at) {
    if (at === trial.control || at === trial.treatment) return scoresOf(trial, metric.column)[Number(at === trial.treatment)];
    if (!metric.judge) return data.arms[at].scores[metric.column] || null;
    const other = metric.judge === "pairwise" ? null : data.about.trials.find((one) => one.is_declared && [one.control, one.treatment].includes(at) && judgedOf(one)[metric.column]);
    return other ? judgedOf(other)[metric.column].scores[Number(at === other.treatment)] : null;
  }

  async function rows(ask, first, n, withOthers = false) {
    const trial = trialOf(ask);
    const metric = metricOf(trial, ask.metric);
    const kinds = outcomes(trial, metric);
    const scores = scoresOf(trial, metric.column);
    const { places } = await placesOf(ask);
    const arms = [trial.control, trial.treatment];
    const others = withOthers ? data.arms.map((_, arm) => arm).filter((arm) => !arms.includes(arm)) : [];
    return Promise.all(places.slice(first, first + n).map(async (place) => {
      const item = await itemAt(place);
      return {
        place, key: item.key, id: item.id, dataset: item.dataset, kind: item.kind, question: item.question.slice(0, EXCERPT),
        answers: arms.map((arm) => item.by_arm[arm][0].text.slice(0, EXCERPT)), outcome: OUTCOMES[kinds.codes[place]], marks: kinds.marks(place),
        scores: scores.map((values) => values[place]), n: arms.map((arm) => trial.samples - data.arms[arm].n_lost[place]), label: labels.get(slotOf(ask, item.key)) || "",
        others: others.map((arm) => ({ arm, answer: item.by_arm[arm][0].text.slice(0, EXCERPT), score: scoresOfArm(trial, metric, arm)?.[place] ?? null, n: data.about.arms[arm].samples - (data.arms[arm].n_lost[place] || 0) })),
      };
    }));
  }

  async function detail(ask, place) {
    const trial = trialOf(ask);
    const item = await itemAt(place);
    const scores = Object.fromEntries(trial.metrics.map((one) => [one.name, data.arms.map((_, arm) => scoresOfArm(trial, one, arm)?.[place] ?? null)]));
    const outcome = OUTCOMES[outcomes(trial, metricOf(trial, ask.metric)).codes[place]] || null;
    return { ...item, place, scores, outcome, more: (key, number) => more(place, key, number) };
  }

  async function pictures(ask) {
    const { places } = await placesOf(ask);
    const trial = trialOf(ask);
    const metric = metricOf(trial, ask.metric);
    const change = number(trial, metric, "score_change");
    const [control, treatment] = scoresOf(trial, metric.column);
    const length = number(trial, metric, "length_change");
    const both = places.filter((place) => control[place] !== null && treatment[place] !== null);
    const step = Math.max(1, Math.ceil(both.length / 1500));
    return {
      length_change: histogram(places.map((place) => length[place])),
      score_change: histogram(places.map((place) => change[place])),
      scatter: metric.is_rate ? null : both.filter((_, at) => at % step === 0).map((place) => [place, control[place], treatment[place]]),
    };
  }

  return { about: data.about, n: data.n, part: data.part, isLive: false, labels, query, rows, detail, pictures, comparison: (slug, temp, name, places) => {
    const trial = trialOf({ trial: slug, temp });
    return comparison(trial, metricOf(trial, name), places);
  } };
}

/** @type {(text: string) => RegExp} */
function patternOf(text) {
  try {
    return new RegExp(text, "i");
  } catch (error) {
    throw new Error(`the pattern cannot be read: ${error.message.split(": ").slice(-1)[0].toLowerCase()}`);
  }
}

/** @type {(a: number | null | undefined, b: number | null | undefined) => number | null} */
function minus(a, b) {
  return a === null || a === undefined || b === null || b === undefined ? null : a - b;
}

/** What became of each pair by a metric, as a code; and the marks beside it. */
function outcomesOf(trial, metric, arms, scoresOf, n) {
  const [control, treatment] = scoresOf(trial, metric.column);
  const codes = new Uint8Array(n);
  const reasons = new Map();
  const up = metric.higher_is_better ? 1 : -1;
  for (let place = 0; place < n; place += 1) {
    const [c, t] = [control[place], treatment[place]];
    if (arms.some((arm) => arm.n_lost[place] === null)) { codes[place] = OUTCOMES.length; continue; }
    const lost = arms.map((arm) => arm.lost_to[place]);
    let name;
    if (!metric.judge && c === null && t === null && !(metric.is_total && (lost[0] !== null || lost[1] !== null))) name = "no_score";
    else if (c === null || t === null) {
      name = "incomplete";
      const whys = new Set(lost.flatMap((one) => (one === null ? [] : one.split(" ").map((part) => part.slice(0, part.lastIndexOf(":"))))));
      for (const why of whys.size ? whys : ["unscored"]) {
        if (!reasons.has(why)) reasons.set(why, new Uint8Array(n));
        reasons.get(why)[place] = 1;
      }
    } else if (t !== c) name = (t - c) * up > 0 ? "won" : "lost";
    else if (!metric.is_rate) name = "same";
    else name = c >= 0.5 === metric.higher_is_better ? "both_right" : "both_wrong";
    codes[place] = OUTCOMES.indexOf(name);
  }
  const marks = new Map([...reasons].map(([why, mask]) => [`reason:${why}`, mask]));
  for (const [name, [column, arm]] of Object.entries(FLAGS)) {
    marks.set(name, Uint8Array.from(scoresOf(trial, column)[arm], (value) => (value !== null && value >= 0.5 ? 1 : 0)));
  }
  return {
    codes,
    marks: (place) => [...marks].filter(([, mask]) => mask[place]).map(([name]) => name),
    counts(places) {
      const total = new Map(OUTCOMES.map((name) => [name, 0]));
      for (const place of places) total.set(OUTCOMES[codes[place]], (total.get(OUTCOMES[codes[place]]) ?? 0) + 1);
      const there = new Set(codes);
      const found = Object.fromEntries([...total].filter(([name]) => there.has(OUTCOMES.indexOf(name))));
      for (const [name, mask] of marks) if (mask.includes(1)) found[name] = places.reduce((sum, place) => sum + mask[place], 0);
      return found;
    },
    passes(chips) {
      /** @type {string[][]} */
      const groups = [[], [], []];
      for (const chip of chips) groups[OUTCOMES.includes(chip) ? 0 : chip.startsWith("reason:") ? 2 : 1].push(chip);
      return (place) => groups.every((group, kind) => !group.length || group.some((chip) => (kind ? marks.get(chip)?.[place] : OUTCOMES[codes[place]] === chip)));
    },
  };
}

/** Counts between even edges; what lies far out is counted in the outermost bins. */
/** @type {(values: Numbers, bins?: number) => Bins | null} */
export function histogram(values, bins = 24) {
  const own = values.flatMap((value) => (value === null || value === undefined ? [] : [value])).sort((a, b) => a - b);
  if (!own.length) return null;
  const quantile = (q) => {
    const at = q * (own.length - 1);
    const low = Math.floor(at);
    return own[low] + (at - low) * (own[Math.min(low + 1, own.length - 1)] - own[low]);
  };
  let [low, high] = [quantile(0.01), quantile(0.99)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const counts = new Array(bins).fill(0);
  for (const value of own) counts[Math.min(bins - 1, Math.max(0, Math.floor(((value - low) / (high - low)) * bins)))] += 1;
  return { low, high, counts, n: own.length };
}
