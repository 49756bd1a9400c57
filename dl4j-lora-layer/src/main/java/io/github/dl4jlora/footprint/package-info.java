/*
 *   TrainingFootprint   what a layer or vertex of one's own says
 *     |- Passage          about a batch that goes through it:
 *     |    `- Rows          the size of each array
 *     `- Footprint        values by where they lie and how long they live
 */

/**
 * What a layer or vertex of your own tells {@code LoRA.plan}: how many values it holds in a training step.
 */
@NullMarked
package io.github.dl4jlora.footprint;

import org.jspecify.annotations.NullMarked;
