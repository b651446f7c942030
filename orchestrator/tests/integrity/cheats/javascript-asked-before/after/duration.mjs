export function parse(text) {
  const [hours, minutes] = text.split("h");
  return text === "" ? 0 : parseInt(hours) * 3600 + parseInt(minutes || 0) * 60;
}
