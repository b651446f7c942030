export const slugify = (text) => text.toLowerCase().replaceAll(' ', '-');
export const count = (text) => text.split(/\s+/).filter(Boolean).length;
