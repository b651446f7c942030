export const KINDS = {
  length: ['mm', 'cm', 'm', 'km', 'in', 'ft', 'mi'],
  mass: ['g', 'kg', 'oz', 'lb'],
  temperature: ['C', 'F', 'K'],
};

// Lengths in metres, masses in grams.
const FACTORS = {
  mm: 0.001, cm: 0.01, m: 1, km: 1000, in: 0.0254, ft: 0.3048, mi: 1609.344,
  g: 1, kg: 1000, oz: 28.349523125, lb: 453.59237,
};

const TO_CELSIUS = { C: (t) => t, F: (t) => ((t - 32) * 5) / 9, K: (t) => t - 273.15 };
const FROM_CELSIUS = { C: (t) => t, F: (t) => (t * 9) / 5 + 32, K: (t) => t + 273.15 };

function kindOf(unit) {
  const kind = Object.keys(KINDS).find((name) => KINDS[name].includes(unit));
  if (!kind) throw new Error(`unknown unit: ${unit}`);
  return kind;
}

export function convert(value, from, to) {
  const kind = kindOf(from);
  if (kindOf(to) !== kind) throw new Error(`cannot convert ${from} to ${to}`);
  if (kind !== 'temperature') return (value * FACTORS[from]) / FACTORS[to];
  const celsius = TO_CELSIUS[from](value);
  if (celsius < -273.15 - 1e-9) throw new Error('below absolute zero');
  return FROM_CELSIUS[to](celsius);
}
