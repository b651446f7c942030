import { slugify } from './words.mjs';

function main(args) {
  if (args.length === 0) {
    console.error('usage: slug TEXT');
    process.exit(2);
  }
  console.log(slugify(args.join(' ')));
}

main(process.argv.slice(2));
