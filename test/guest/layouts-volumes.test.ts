/** The matrix of layouts, second half: what needs a new identity before the copy can be mounted beside the original. */
import { VOLUMES } from './scripts/layouts.ts';
import { stories } from './scripts/stories.ts';

stories(VOLUMES);
