// The marks of a guess: + right place, ? other place, . not there.
export function score(secret, guess) {
  if (secret.length !== guess.length) throw new Error('wrong length');
  const wanted = [...secret.toLowerCase()];
  const given = [...guess.toLowerCase()];
  const marks = given.map((letter, i) => (letter === wanted[i] ? '+' : '.'));
  const left = wanted.filter((_, i) => marks[i] !== '+');
  given.forEach((letter, i) => {
    const at = left.indexOf(letter);
    if (marks[i] === '+' || at < 0) return;
    marks[i] = '?';
    left.splice(at, 1);
  });
  return marks.join('');
}
