import { defineConfig } from "@playwright/test";

const binary = process.env.EDVAC_TEST_CHROMIUM ?? "/usr/bin/chromium";

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.mjs",
  outputDir: process.env.EDVAC_TEST_BROWSER_OUT ?? "../../target/browser-tests",
  fullyParallel: true,
  workers: 2,
  timeout: 240_000,
  expect: { timeout: 30_000 },
  reporter: "list",
  use: { viewport: { width: 1440, height: 900 }, launchOptions: { executablePath: binary } },
});
