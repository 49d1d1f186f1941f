// What the two doors answer and the page passes on, for `tsc`: browsers never see this file.

export type Numbers = (number | null)[];
export type Child = Node | string | null | undefined | false;
export type Children = (Child | Child[])[];
export type Run = [kind: "same" | "gone" | "new", text: string];
export type Range = [low: number | null, high: number | null];
export type Names = Record<string, string>;

export interface Metric {
  name: string;
  column: string;
  title: string;
  is_share: boolean;
  is_rate: boolean;
  is_number: boolean;
  is_total: boolean;
  higher_is_better: boolean;
  judge: string;
  limits: [number, number] | null;
}

export interface Estimate {
  value: number;
  ci_low: number;
  ci_high: number;
}

export interface Test {
  label: string;
  metric: string;
  kind: string;
  dataset: string | null;
  family: string;
  is_share: boolean;
  is_declared: boolean;
  higher_is_better: boolean;
  estimate: Estimate;
  margin: { low: number | null; high: number | null } | null;
}

export interface Judge {
  title: string;
  rows: string[][];
  remarks: string[];
}

export type Drawn = [key: string, place: number, isRepeat: boolean, isFlipped: boolean, mark: string];

export interface Trial {
  slug: string;
  temp: number;
  title: string;
  against: string;
  control: number;
  treatment: number;
  samples: number;
  metrics: Metric[];
  headline: string;
  withheld: string;
  looked: boolean;
  tests: Test[];
  judges: Judge[];
  is_declared: boolean;
  differences: [field: string, before: string, after: string][];
  queue: Drawn[];
}

export interface Arm {
  name: string;
  called: string;
  model: string;
  samples: number;
  system: string;
}

export interface About {
  nothing: string;
  config: string;
  banner: string;
  alpha: number;
  clusters: boolean;
  n_items: number;
  unlisted: number;
  choices: Record<string, string[]>;
  arms: Arm[];
  trials: Trial[];
}

/** A slice of a trial's pairs, in an order. */
export interface Ask {
  trial: string;
  temp: number;
  metric: string;
  chips: string[];
  values: Record<string, string[]>;
  ranges: Record<string, Range>;
  labelled: string;
  judged: Names;
  search: { text: string; where: string; is_pattern: boolean };
  sort: string;
  is_down: boolean;
}

/** What stands in the address. */
export interface State extends Ask {
  run: string;
  hidden: string[];
  item: number | null;
  view: string;
  arms: string;
}

export interface Answer {
  text: string;
  outcome: string;
  answer_state?: string;
  finish_reason?: string;
  input_tokens?: number;
  output_tokens?: number;
  usd?: number;
  attempt?: number;
  custom_id?: string;
  request_id?: string;
  error?: string;
}

export interface Said {
  judge: string;
  arm: number;
  other?: number;
  sample: number;
  said: string;
  reason: string;
}

export interface Item {
  key: string;
  id: string;
  dataset: string;
  question: string;
  context?: string;
  references: string[];
  unanswerable: boolean;
  columns?: Record<string, unknown>;
  long?: Record<string, number>;
  sent: [role: string, text: string][][];
  by: number[];
  by_arm: Answer[][];
  judged: Said[];
}

/** An item as it is looked at. more: a page of one of its long texts. */
export interface Shown extends Item {
  place: number;
  outcome: string | null;
  scores: Record<string, Numbers>;
  more(key: string, number: number): Promise<string>;
}

export interface Other {
  arm: number;
  answer: string;
  score: number | null;
  n: number;
}

export interface Row {
  place: number;
  id: string;
  dataset: string;
  question: string;
  answers: string[];
  outcome: string;
  marks: string[];
  scores: Numbers;
  n: number[];
  label: string;
  others: Other[];
}

export interface Compared {
  pairs: number;
  value: number;
  low: number | null;
  high: number | null;
  level: number;
  reason?: string;
  p: number | null;
  control: number;
  treatment: number;
  clusters: number | null;
  warnings: string[];
  not_decidable: string;
}

/** The statistics of a slice; where an interval is withheld, why, and counts alone. */
export interface Slice extends Partial<Compared> {
  n: number;
  counts: Record<string, number>;
  withheld?: string;
}

export interface Found {
  n: number;
  chips: Record<string, number>;
  slice: Slice | null;
  at: number | null;
}

export interface Bins {
  low: number;
  high: number;
  counts: number[];
  n: number;
}

export interface Pictures {
  length_change: Bins | null;
  score_change: Bins | null;
  scatter?: number[][] | null;
}

export interface Label {
  id: string;
  who: string;
  item_key: string;
  trial: string;
  temp: number;
  verdict: string;
  is_repeat: boolean;
  about: string;
}

export interface Labels {
  labels: Label[];
  queue: Drawn[];
}

/** Either door. */
export interface Source {
  about: About;
  n: number;
  part: string | null;
  isLive: boolean;
  query(ask: Ask, item?: number | null): Promise<Found>;
  rows(ask: Ask, first: number, n: number, withOthers?: boolean): Promise<Row[]>;
  detail(ask: Ask, place: number): Promise<Shown>;
  pictures(ask: Ask): Promise<Pictures>;
}

export interface Server extends Source {
  run: string;
  judgements(ask: Ask): Promise<Labels>;
  label(ask: Ask, label: object): Promise<Labels>;
  stop(): Promise<unknown>;
}

export interface File extends Source {
  labels: Map<string, string>;
  comparison(slug: string, temp: number, name: string, places: number[]): object | null;
}

/** Keys of items that were opened with their arms named, as long as the browser keeps them. */
export interface Seen {
  has(key: string): boolean;
  add(key: string): void;
}

/** Where labels are kept. */
export interface Store {
  seen: Seen;
  keptWhere: string;
  open(ask: Ask): Promise<void>;
  queue(): Drawn[];
  labels(): Label[];
  add(label: Label): Promise<void>;
  undo(id: string, who: string): Promise<void>;
  download?(): void;
}
