import { beforeEach, describe, expect, test, vi } from 'vitest';
import { count, slugify } from './words.mjs';

let say;

beforeEach(() => {
  say = vi.fn();
});

expect.extend({ toBeASlug: (text) => ({ pass: /^[a-z-]+$/.test(text), message: () => text }) });

describe('words', () => {
  test('R1: slugify joins with dashes', () => {
    expect(slugify('A b')).toBe('a-b');
    expect(slugify('C')).toEqual('c');
    expect(slugify('C')).toBeASlug();
  });

  test('R2: counts words', async () => {
    expect(count('one two')).toBe(2);
    say(count('x'));
    expect(say).toHaveBeenCalledWith(1);
  });
});
