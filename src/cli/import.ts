export async function importCommand (_args: string[], _config: unknown): Promise<number> { return 1 }
