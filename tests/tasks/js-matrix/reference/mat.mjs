import { combine, determinant, inverse, multiply, power, transpose } from './matrix.mjs';
import { formatMatrix, formatNumber, parseMatrix } from './parse.mjs';

// For each command the number of its matrices and what it prints.
const COMMANDS = {
  det: [1, (a) => formatNumber(determinant(a))],
  add: [2, (a, b) => formatMatrix(combine(a, b, 1))],
  sub: [2, (a, b) => formatMatrix(combine(a, b, -1))],
  mul: [2, (a, b) => formatMatrix(multiply(a, b))],
  transpose: [1, (a) => formatMatrix(transpose(a))],
  inverse: [1, (a) => formatMatrix(inverse(a))],
  power: [1, (a, n) => formatMatrix(power(a, Number(n)))],
};

function main([command = '', ...args]) {
  const [matrices, print] = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : [];
  const wanted = command === 'power' ? 2 : matrices;
  if (args.length !== wanted || (command === 'power' && !/^\d+$/.test(args[1]))) {
    console.error(`usage: node mat.mjs {${Object.keys(COMMANDS).join(',')}} MATRIX [MATRIX|N]`);
    return 2;
  }
  try {
    console.log(print(...args.map((arg, i) => (i < matrices ? parseMatrix(arg) : arg))));
    return 0;
  } catch (error) {
    console.error(`error: ${error.message}`);
    return 1;
  }
}

process.exitCode = main(process.argv.slice(2));
