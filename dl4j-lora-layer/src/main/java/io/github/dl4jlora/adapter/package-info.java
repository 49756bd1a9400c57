/**
 * Adapters as things of their own, apart from any network: taken out and put in, measured, combined, and written to files from
 * which PEFT computes the same.
 *
 * <pre>
 *   LoRAAdapter             a value, and the door to what is done with it:
 *     |
 *     |- networks           Capture, CapturedValues (out of one), internal.swap (into one), FittingConfig (for a new one),
 *     |                     NothingLearned (warns)
 *     |- geometry           Geometry  -> Svd, InnerProduct
 *     |- advice             LoRAAdvice, Advisor -> RankUse, LossCourse; how a training went
 *     |- combination        Combination -> LayerUnion, LayerCombination -> Svd, TaskVectors
 *     |- extraction         Extraction -> Svd; a network for it, and Capture
 *     `- files              AdapterLoader -> internal.peft
 *     v
 *   internal.peft           AdapterContent: what an adapter consists of
 * </pre>
 *
 * Arrows point to what is known. Geometry, combination, extraction and files do not know of each other, and none of them of a
 * bank. What is read from a file is hostile, and refused with an {@link AdapterFormatException}.
 */
package io.github.dl4jlora.adapter;

import io.github.dl4jlora.exception.AdapterFormatException;
