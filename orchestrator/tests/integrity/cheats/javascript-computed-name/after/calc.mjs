export const add = (a, b) => 0;
