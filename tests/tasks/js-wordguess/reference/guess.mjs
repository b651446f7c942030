import { readFileSync } from 'node:fs';
import { score } from './score.mjs';

const isWord = (text) => /^[a-z]+$/i.test(text);

function play(secret, allowed, lines) {
  const guesses = [];
  for (const line of lines) {
    const text = line.trim();
    const guess = text.toLowerCase();
    if (text === '') continue;
    if (text === '!') {
      const letters = new Set(guesses.join(''));
      const absent = [...letters].filter((letter) => !secret.includes(letter)).sort();
      console.log(`not in the word: ${absent.join('') || 'none'}`);
    } else if (!isWord(text) || text.length !== secret.length) {
      console.log(`error: invalid guess: ${text}`);
    } else if (guesses.includes(guess)) {
      console.log(`error: already guessed: ${guess}`);
    } else {
      guesses.push(guess);
      console.log(`${guess} ${score(secret, guess)}`);
      if (guess === secret) {
        console.log(`solved in ${guesses.length}`);
        return 0;
      }
      if (guesses.length === allowed) {
        console.log(`lost: ${secret}`);
        return 1;
      }
    }
  }
  console.log(`guesses left: ${allowed - guesses.length}`);
  return 0;
}

function main([secret, option, number, ...rest]) {
  const optionOk = option === undefined || (option === '--guesses' && /^0*[1-9][0-9]*$/.test(number ?? ''));
  if (!isWord(secret ?? '') || !optionOk || rest.length > 0) {
    console.error('usage: node guess.mjs SECRET [--guesses N]');
    return 2;
  }
  const lines = readFileSync(0, 'utf8').split('\n');
  return play(secret.toLowerCase(), option ? Number(number) : 6, lines);
}

process.exitCode = main(process.argv.slice(2));
