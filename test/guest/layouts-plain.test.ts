/** The matrix of layouts, first half: file systems on partitions and on the whole disk. */
import { PLAIN } from './scripts/layouts.ts';
import { stories } from './scripts/stories.ts';

stories(PLAIN);
