package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.run.Routing;
import io.github.dl4jlora.internal.run.Snapshot;
import io.github.dl4jlora.internal.stock.Hollow;
import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The weights on which a stock layer or vertex runs, and the gradients of A, B and trained biases b that follow from theirs:
 *
 * <pre>
 * M  = M₀ + s·A·B          in place of M₀, or whatever a merge of the variant writes
 * b                        in place of b₀, with the stock layer's own gradient
 * dA = s·dM·Bᵀ
 * dB = s·Aᵀ·dM             or whatever the variant makes of dM
 * </pre>
 *
 * M is computed into an array of its own if A, B, b, the factor or a base in the vector has changed since, not in each call.
 * A {@link Snapshot} of the layer's part of the vector tells whether it has.
 */
public final class EffectiveWeights implements StockWeights {

    private final Adapter adapter;
    private final StockMatrices matrices;
    private final INDArray watched;
    private final Map<String, INDArray> table;
    private final INDArray values;

    private Map<String, INDArray> gradients = Map.of();
    private Map<String, Routing> applied = Map.of();
    private final Snapshot snapshot = new Snapshot();
    private boolean stale = true;

    /**
     * @param adapter of the layer
     * @param watched the layer's part of the network's vector
     * @param values  flat, on which the stock layer was built
     * @param table   the stock layer's table, views of {@code values}
     */
    EffectiveWeights(Adapter adapter, INDArray watched, INDArray values, Map<String, INDArray> table) {
        this.adapter = adapter;
        this.matrices = adapter.configuration().matrices();
        this.watched = watched;
        this.values = values;
        this.table = table;
    }

    /** Room for M, flat; it takes no memory as long as the weights that M is made of are missing. */
    static INDArray room(AdaptedConfiguration lora, DataType type) {
        boolean here = lora.getFrozen() == null || lora.getFrozen().isHere();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return here ? Nd4j.create(type, lora.frozenParams()) : Hollow.standIn(type, lora.frozenParams());
        }
    }

    @Override
    public void setGradients(Map<String, INDArray> views) {
        gradients = views;
    }

    @Override
    public void changed() {
        stale = true;
    }

    /** A bank routes before and after each pass, mostly to what M has been made of already. */
    @Override
    public void routed() {
        // The next pass compares.
    }

    @Override
    public void refresh(boolean training) {
        adapter.beginPass(training);
        if (!stale && sameRoutes() && (isRoutedWhole() || snapshot.isOf(watched))) {
            return;
        }
        // Stale until M is whole: what follows may throw.
        stale = true;
        AdaptedConfiguration lora = adapter.configuration();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            values.assign(adapter.stock().flat().reshape(values.shape()));
            if (!adapter.switches().isDisabled()) {
                for (TrainedBias bias : lora.biases()) {
                    INDArray effective = Objects.requireNonNull(table.get(bias.key()));
                    INDArray trained = Objects.requireNonNull(adapter.value(bias.key()));
                    effective.assign(trained.reshape('c', effective.shape()));
                }
                lora.adapted().forEach(this::mergeInto);
            }
            snapshot.take(watched);
        }
        applied = Map.copyOf(adapter.switches().routings());
        stale = false;
    }

    private void mergeInto(AdaptedParameter parameter) {
        INDArray matrix = matrices.form(parameter.key()).viewOf(Objects.requireNonNull(table.get(parameter.key())));
        Routing routing = adapter.switches().routing(parameter.key());
        if (routing == null) {
            variant().merge(matrix, adapter.parts(parameter.key()), adapter.factor(parameter));
        } else {
            for (Route route : routing.forAll()) {
                new PlainLoRA().merge(matrix, Map.of(Variant.A, route.a(), Variant.B, route.b()), route.factor());
                if (route.bias() != null) {
                    INDArray bias = Objects.requireNonNull(table.get(DefaultParamInitializer.BIAS_KEY));
                    bias.assign(route.bias().reshape('c', bias.shape()));
                }
            }
        }
    }

    private Variant variant() {
        return adapter.configuration().settings().variant();
    }

    /** Whether nothing in the layer's own part of the vector matters. */
    private boolean isRoutedWhole() {
        AdaptedConfiguration lora = adapter.configuration();
        return !lora.adapted().isEmpty() && adapter.switches().routings().size() == lora.adapted().size()
                && lora.biases().isEmpty();
    }

    private boolean sameRoutes() {
        Map<String, Routing> now = adapter.switches().routings();
        return now.size() == applied.size()
                && now.entrySet().stream().allMatch(entry -> entry.getValue().isSameForAll(applied.get(entry.getKey())));
    }

    @Override
    public boolean tellsExamplesApart() {
        return false;
    }

    @Override
    public long gradientLength() {
        return values.length();
    }

    @Override
    public Gradient project(Gradient stock) {
        AdaptedConfiguration lora = adapter.configuration();
        Gradient result = new DefaultGradient();
        for (AdaptedParameter parameter : lora.adapted()) {
            MatrixForm form = matrices.form(parameter.key());
            Map<String, INDArray> own = new HashMap<>();
            for (Parameter part : variant().parameters(parameter.nIn(), parameter.nOut(), parameter.rank())) {
                String key = lora.key(parameter, part.key());
                INDArray gradient = gradients.get(key);
                if (gradient != null) {
                    own.put(part.key(), gradient);
                    result.setGradientFor(key, gradient);
                }
            }
            variant().project(() -> form.viewOf(adapter.stock().array(parameter.key())),
                    adapter.parts(parameter.key()), adapter.factor(parameter),
                    form.of(stock.getGradientFor(parameter.key())), own);
        }
        for (TrainedBias bias : lora.biases()) {
            INDArray db = Objects.requireNonNull(gradients.get(bias.key()));
            result.setGradientFor(bias.key(), db.assign(stock.getGradientFor(bias.key()).reshape('c', db.shape())));
        }
        return result;
    }
}
