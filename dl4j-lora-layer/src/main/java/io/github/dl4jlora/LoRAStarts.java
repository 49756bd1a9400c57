package io.github.dl4jlora;

import io.github.dl4jlora.internal.rewrite.Adaptation;
import io.github.dl4jlora.internal.rewrite.DataPass;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

import java.util.function.Consumer;

/** How {@link LoRA} makes adapted networks whose adapters start from data. */
abstract class LoRAStarts extends LoRAFiles {

    LoRAStarts() {
    }

    /**
     * As {@link LoRA#apply(ComputationGraph, LoRAConfig)}, for {@link LoRAInit#EVA} and {@link LoRAInit#LORA_GA}, which start
     * from data, and for {@code rankBudget}.
     *
     * <p>The base looks at batches from the beginning of the data, all of it frozen and in test mode, so without dropout: EVA
     * at inputs until its components have converged, LoRA-GA at the gradients of the first 8, or as many as
     * {@code startBatches} says. Masked steps and rows do not count. Afterwards the data is at its beginning again. Neither base
     * nor ND4J's random generator is changed.
     *
     * @param base   trained; not changed
     * @param config with a start from data
     * @param data   of the task, as it is to be trained on; for EVA labels may be missing
     * @return an adapted network
     * @throws IllegalArgumentException as there, if no start needs data, the layer is one that the start is not for, the iterator
     *                                  is null, empty or cannot be reset, has NaN or infinity in it, or has no labels where a
     *                                  gradient is needed; if a layer's inputs do not vary, or its gradient is zero
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config, DataSetIterator data) {
        return Adaptation.apply(base, config, DataPass.over(data, null));
    }

    /**
     * As {@link LoRA#apply(ComputationGraph, LoRAConfig, DataSetIterator)}, which tells how far it is.
     *
     * @param base     trained; not changed
     * @param config   with a start from data
     * @param data     of the task
     * @param progress gets a line after each batch: {@code EVA: 12 of 18 layers converged after 5 batches}
     * @return an adapted network
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config, DataSetIterator data,
            Consumer<String> progress) {
        return Adaptation.apply(base, config, DataPass.over(data, progress));
    }

    /**
     * As {@link LoRA#apply(ComputationGraph, LoRAConfig, DataSetIterator)}.
     *
     * @param base   trained; not changed
     * @param config with a start from data
     * @param data   of the task
     * @return an adapted network
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config, MultiDataSetIterator data) {
        return Adaptation.apply(base, config, DataPass.over(data, null));
    }

    /**
     * As {@link LoRA#apply(ComputationGraph, LoRAConfig, DataSetIterator, Consumer)}.
     *
     * @param base     trained; not changed
     * @param config   with a start from data
     * @param data     of the task
     * @param progress gets a line after each batch
     * @return an adapted network
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config, MultiDataSetIterator data,
            Consumer<String> progress) {
        return Adaptation.apply(base, config, DataPass.over(data, progress));
    }

    /**
     * As {@link LoRA#apply(ComputationGraph, LoRAConfig, DataSetIterator)}.
     *
     * @param base   trained; not changed
     * @param config with a start from data
     * @param data   of the task
     * @return an adapted network
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAConfig config, DataSetIterator data) {
        return Adaptation.apply(base, config, DataPass.over(data, null));
    }

    /**
     * As {@link LoRA#apply(ComputationGraph, LoRAConfig, DataSetIterator, Consumer)}.
     *
     * @param base     trained; not changed
     * @param config   with a start from data
     * @param data     of the task
     * @param progress gets a line after each batch
     * @return an adapted network
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAConfig config, DataSetIterator data,
            Consumer<String> progress) {
        return Adaptation.apply(base, config, DataPass.over(data, progress));
    }
}
