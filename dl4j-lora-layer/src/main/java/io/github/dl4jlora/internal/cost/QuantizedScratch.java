package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.Rows;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.StoredForm;
import io.github.dl4jlora.internal.kernel.QuantizedProduct;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.inputs.InputType.InputTypeRecurrent;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;

/**
 * Memory into which a thread gives quantised matrices back: one block for all products, and one whole matrix for layers that
 * need all of W.
 */
public final class QuantizedScratch {

    private long block;
    private long lent;

    /**
     * Takes a layer into account.
     *
     * @param stock without DL4J's freezing wrappers; null for a vertex
     * @param lora  null for a frozen layer
     */
    public void add(StoredForm form, @Nullable Layer stock, @Nullable AdaptedConfiguration lora, Passage passage) {
        boolean whole = stock instanceof ConvolutionLayer
                || stock != null && StockLayers.innermost(stock) instanceof BaseRecurrentLayer
                || lora != null && !lora.settings().variant().isAdditive();
        for (StoredForm.Part part : form.parts()) {
            if (part.isQuantized()) {
                block = Math.max(block, QuantizedProduct.blockValues(positions(passage.output()), part.lines(), part.length()));
                lent = whole ? Math.max(lent, part.lines() * part.length()) : lent;
            }
        }
    }

    /** Examples, or the steps of all of them where they are sequences. */
    private static long positions(Rows output) {
        return output.number() * (output.type() instanceof InputTypeRecurrent sequence ? sequence.getTimeSeriesLength() : 1);
    }

    /** Bytes of both. */
    public long bytes(DataType type) {
        return Math.max(type.width(), Float.BYTES) * block + type.width() * lent;
    }
}
