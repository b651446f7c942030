export async function retry(call, times) {
  for (let n = 1; ; n += 1) {
    try {
      return await call(n);
    } catch (error) {
      if (n >= times) throw error;
    }
  }
}
