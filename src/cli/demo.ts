export async function demoCommand (_args: string[], _config: unknown): Promise<number> { return 1 }
