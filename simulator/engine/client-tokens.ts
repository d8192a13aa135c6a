/** ClientToken: the same token with the same parameters gives the first call's result again, with other ones an error. */
import { ApiError } from '../protocol/api-error.ts';
import type { Parameters } from '../protocol/parameters.ts';
import type { World } from '../state/model.ts';

export class ClientTokens {
  private readonly world: World;
  /** Tokens of calls that have not been answered yet. */
  private readonly underWay = new Map<string, string>();

  constructor(world: World) {
    this.world = world;
  }

  /** The earlier answer; undefined when this call is the first with its token. Throws on mismatch and on a running twin. */
  lookUp(p: Parameters): { key: string; earlier: Record<string, unknown> | undefined } | undefined {
    const token = p.rawText('ClientToken');
    if (token === undefined || token === '') return undefined;
    if (token.length > 64 || !/^[\x20-\x7e]+$/.test(token)) {
      const status = p.action === 'CreateSnapshot' ? 403 : 400;
      throw new ApiError('InvalidClientToken.Malformed', status, 'A ClientToken has at most 64 ASCII characters.');
    }
    const key = `${p.action}/${token}`;
    const fingerprint = p.fingerprint(['ClientToken']);
    const running = this.underWay.get(key);
    const record = Object.hasOwn(this.world.tokens, key) ? this.world.tokens[key] : undefined;
    const known = record?.fingerprint ?? running;
    if (known !== undefined && known !== fingerprint) {
      throw new ApiError(
        'IdempotentParameterMismatch',
        p.action === 'ResizeDisk' ? 400 : 403,
        'The specified ClientToken was used with other parameters before.',
      );
    }
    if (running !== undefined) {
      throw p.action === 'CreateDisk'
        ? new ApiError('LastTokenProcessing', 403, 'The last request with this ClientToken is still being processed.')
        : new ApiError(
            'IdempotentProcessing',
            403,
            'The previous request with this ClientToken is still being processed.',
          );
    }
    return { key, earlier: record?.answer };
  }

  begin(key: string, p: Parameters): void {
    this.underWay.set(key, p.fingerprint(['ClientToken']));
  }

  /** Remembers the answer; a call that failed leaves its token free. */
  end(key: string, p: Parameters, answer: Record<string, unknown> | undefined): void {
    this.underWay.delete(key);
    if (answer !== undefined) this.world.tokens[key] = { fingerprint: p.fingerprint(['ClientToken']), answer };
  }
}
