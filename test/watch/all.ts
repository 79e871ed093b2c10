import { runFolder } from "../folder.ts";

await runFolder(import.meta.url);
