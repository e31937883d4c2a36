// Asks both APIs with the types that script/api-types makes; tests/test_api_types.py compiles it.
import type { paths as Exporter } from "./exporter";
import type { components, paths as Pages } from "./pages";

type Json<Path, Method extends keyof Path> = Path[Method] extends {
  responses: { 200: { content: { "application/json": infer Body } } };
}
  ? Body
  : never;

const AIRFLOW = "http://127.0.0.1:8080/routing-ml";
const EXPORTER = "http://127.0.0.1:9877";

async function pages<Path extends keyof Pages>(
  path: Path,
  token: string,
  query: Record<string, string> = {},
): Promise<Json<Pages[Path], "get">> {
  const headers = { Authorization: `Bearer ${token}` };
  const asked = `${AIRFLOW}${path}?${new URLSearchParams(query)}`;
  const answer = await fetch(asked, { headers });
  if (!answer.ok) {
    const problem: components["schemas"]["Problem"] = await answer.json();
    throw new Error(problem.detail);
  }
  return answer.json();
}

async function exporter<Path extends keyof Exporter>(
  path: Path,
): Promise<Json<Exporter[Path], "get">> {
  return (await fetch(`${EXPORTER}${path}`)).json();
}

/** The routing that is proposed for an item, and the attribute that speaks most for each step. */
export async function routing(item: string, token: string): Promise<string[]> {
  const why = await pages("/api/why", token, { item });
  return why.steps.map((step) => {
    const likely = step.likelihood === null ? "" : ` ${Math.round(100 * step.likelihood)} %`;
    return `${step.job}${likely}: ${step.favour[0]?.attribute ?? "nothing in particular"}`;
  });
}

/** Who put the model into use, and whether new items still resemble the past ones. */
export async function health(token: string): Promise<string> {
  const models = await pages("/api/models", token);
  const drift = await exporter("/api/drift/status");
  const severity: "normal" | "minor" | "significant" | "severe" = drift.severity;
  return `${models.in_use ?? "no model"}, by ${models.since?.who ?? "nobody"}; drift: ${severity}`;
}
