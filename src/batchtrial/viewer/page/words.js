// What things are called on the page.
/** @import { About, Names, Trial } from "./types" */

export const OUTCOME = {
  both_right: ["=", "both right"], won: ["\u25b2", "won"], lost: ["\u25bc", "lost"], both_wrong: ["\u00d7", "both wrong"], same: ["=", "same"],
  incomplete: ["?", "pair incomplete"], no_score: ["\u2013", "not scored by this metric"],
};
export const MARK = {
  abstained_control: "control abstained", abstained_treatment: "treatment abstained",
  false_control: "control answered the unanswerable", false_treatment: "treatment answered the unanswerable",
};
export const MEANS = {
  both_right: "both arms right by the metric", won: "the treatment is better", lost: "the treatment is worse: regressions", both_wrong: "neither arm right",
  same: "equal scores", incomplete: "one answer of the pair is missing, cut, refused or could not be scored", no_score: "this metric does not apply to these items",
};
export const SORT = {
  place: "order of the run", effect: "worst for the treatment first", size: "largest change first", length_change: "length change", usd_change: "cost change",
  informative: "most informative to label",
};
export const RANGE = { length: "length (characters)", tokens: "answer tokens", usd: "cost ($)", score: "score" };
export const WHERE = {
  any: "anywhere", question: "in the question", control: "in the control's answer", treatment: "in the treatment's answer",
  control_only: "in the control's only", treatment_only: "in the treatment's only",
};
export const LABELLED = { "": "any", yes: "labelled", no: "not labelled" };
export const SAID = {
  treatment: "treatment better", control: "control better", neither: "neither better", nothing: "no verdict", orders: "another in each order", metric: "the opposite of", label: "the opposite of the label",
};
export const VERDICT = { better: "treatment better", worse: "treatment worse", same: "same", both_bad: "both bad", cannot: "cannot compare" };

/** The orders that a trial has: of each judge its margin too. */
/** @type {(trial: Trial) => Names} */
export function ordersOf(trial) {
  return { ...SORT, ...Object.fromEntries(trial.metrics.filter((one) => one.judge).map((one) => [`d.${one.name}`, `${one.title}: worst margin first`])) };
}

/** The numbers of which a range can be asked, with their names. */
/** @type {(trial: Trial) => Names} */
export function rangesOf(trial) {
  const own = Object.entries(RANGE).flatMap(([name, text]) => ["change", "control", "treatment"].map((arm) => [`${name}_${arm}`, `${text}, ${arm}`]));
  return Object.fromEntries([...own, ...trial.metrics.map((one) => [`d.${one.name}`, `difference of ${one.title}`])]);
}

/** What an arm is called: its role in the comparison, and its name where it has another one. */
/** @type {(trial: Trial, at: number) => string} */
export function armName(trial, at) {
  const [role, name] = at ? ["treatment", trial.title] : ["control", trial.against];
  return name === role || name === "its control" ? role : `${name} (${role})`;
}

/** What an arm is called beside a trial, of which it may be one of the two. */
/** @type {(trial: Trial, about: About, arm: number) => string} */
export function calledArm(trial, about, arm) {
  return arm === trial.control ? armName(trial, 0) : arm === trial.treatment ? armName(trial, 1) : about.arms[arm].called;
}

/** The two arms of a trial, and where all are asked for the others of the run behind them. */
/** @type {(trial: Trial, about: About, isAll: boolean) => number[]} */
export function armsShown(trial, about, isAll) {
  const two = [trial.control, trial.treatment];
  return isAll ? [...two, ...about.arms.map((_, arm) => arm).filter((arm) => !two.includes(arm))] : two;
}

/** What a chip is called. */
/** @type {(chip: string) => string} */
export function chipName(chip) {
  if (OUTCOME[chip]) return OUTCOME[chip][1];
  return MARK[chip] || `incomplete: ${chip.replace("reason:", "").replaceAll("_", " ")}`;
}
