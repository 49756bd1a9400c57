/**
 * Turns stock networks into adapted ones and back: plan, build, fill. Public classes here are no API and may change
 * without notice.
 *
 * <pre>
 *                      LoRA, adapter
 *                            |
 *      +-----------+---------+---------+-----------------+
 *      v           v                   v                 v
 *  Adaptation  Unadaptation --&gt; BaseAttachment    AdaptedView, Summaries, BaseMatrices, Changes
 *      | |         | |              |     |              |        (who reads a network)
 *      | |         | +--------------|-----|--&gt; DisabledScopes
 *      | +----+----+                |     |              |
 *      v      v                     |     v              |
 *    Plan  AdaptedLayers            |  InputGradients    |
 *      |      |                     |     |              |
 *   Targets   |                     |     |              |
 *      |      |                     |     |              |
 *      v      v                     v     v              v
 *    Network: GraphNetwork | LayersNetwork | ThawedNetwork;  Node, MatrixName, Role
 *                 |              |              |
 *            FrozenGraph    FrozenChain     a frozen network as the stock one that it was made of
 *            (DL4J's, but refuse to fit nothing)
 *
 *    Adaptation -&gt; Replacements      the configurations that take the place of the network's own
 *    Adaptation -&gt; FirstSteps        warns of a B to which no gradient comes
 *    Adaptation, BaseAttachment -&gt; PassingOutputs       outputs that need not be kept for a backward pass
 *    Adaptation &lt;-&gt; DataStarts, DataStart, DataPass
 *                                    starts from data: a network of the base, in which layers are watched, walks over it
 *    Unadaptation -&gt; PartialMerge -&gt; MergedLayer        some layers; what becomes of one, and what rounding takes of it
 *    LearningRateSweep -&gt; TrainingCopy       a network's parameters, updater state and counts, to try a training on
 *    LoRA -&gt; Agreement, Scales       an adapter and a configuration; what paths are multiplied by at run time
 *    LoRA -&gt; Planning -&gt; Adaptation, Summaries, Sizes        a PlannedNetwork, which is not made, and what it would cost
 * </pre>
 *
 * <p>{@code Network} and {@code Node} hide which of DL4J's two network classes is meant, and know nobody above them. A plan
 * looks at configurations only. Values are touched by {@code Adaptation}, {@code Unadaptation} and {@code BaseAttachment},
 * each of which checks all before it changes anything.
 *
 * <p>Below are {@code internal.run} and {@code internal.frozen}, which run what is built here, {@code internal.base}, which
 * holds the weights, and {@code internal.stock}, which knows DL4J's layers. None of them knows this package.
 */
package io.github.dl4jlora.internal.rewrite;
