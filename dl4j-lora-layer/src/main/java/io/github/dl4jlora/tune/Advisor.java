package io.github.dl4jlora.tune;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.common.Divergence;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.ContentAccess;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.inspect.ChanceLoss;
import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.tune.LoRAAdvice.Kind;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Function;

/**
 * Examines a trained adapter for the effects of its settings:
 * {@code LoRAAdvice.about(adapter).base(base).losses(losses).list()}. It says nothing about what it was not given. The limits
 * separated good trainings of the examples from bad ones; the comment of each says which. For DoRA, which does more than add,
 * it looks at the losses alone. Where an adapter was compressed, or combined to a smaller rank, its rank and its A are no longer
 * those of the training, and nothing is said of either.
 *
 * <pre>{@code
 * CollectScoresIterationListener scores = new CollectScoresIterationListener();
 * tuned.addListeners(scores);
 * tuned.fit(examples, 5);
 * LoRAAdvice.about(LoRAAdapter.of(tuned)).base(base)
 *         .losses(scores.getScoreVsIter().getEffectiveScores()).list().forEach(System.out::println);
 * }</pre>
 */
public final class Advisor {

    /**
     * ‖ΔW‖ / ‖W‖ above which a change is large. Digits: at most 1.2 in trainings that read 96 % and more, at least 3.3 in
     * trainings that a high rate ruined.
     */
    static final double LARGE = 2;
    /**
     * Share of the layers' median ‖ΔW‖ / ‖W‖ below which a layer hardly moved. Digits: fc3 has 0.14 of it in a good training with
     * SGD, all layers more than half with Adam.
     */
    static final double HARDLY = 0.05;
    /** With fewer layers the median means little. */
    static final int LAYERS = 3;
    /**
     * A rank is wasted where at most this share of the directions holds 99 % of the change. Digits: from rank 32 on, where 7 of
     * 32 do, and rank 32 reads as many images as rank 64; with rank 8 half the directions are used.
     */
    static final double WASTED = 0.25;
    /**
     * A rank cuts off where all directions are used and the weakest is at least this share of the strongest. Digits: at least
     * 0.18 with rank 2, which reads 93 %; at most 0.09 with rank 4, which reads 96 %. Board: 0.2 to 0.5 with rank 2.
     */
    static final double FLAT = 0.1;
    /** ‖A − A0‖ / ‖A0‖ below which A did not move. Digits: 0.09 and more, even where a low rate had learned little. */
    static final double UNMOVED = 0.01;

    private final LoRAAdapter adapter;
    private final AdapterContent content;
    private @Nullable Model base;
    private double[] losses = {};
    private @Nullable LoRAAdapter start;

    Advisor(LoRAAdapter adapter) {
        this.adapter = Objects.requireNonNull(adapter, "adapter");
        this.content = ContentAccess.of(adapter);
    }

    /**
     * The network that the adapter was made for. With it, changes are compared with W, and the loss of chance is known.
     *
     * @param base not adapted
     * @return this
     */
    public Advisor base(Model base) {
        this.base = Objects.requireNonNull(base, "base");
        return this;
    }

    /**
     * How the training went. DL4J records it where a listener was added before {@code fit}:
     * <pre>{@code
     * CollectScoresIterationListener scores = new CollectScoresIterationListener();
     * tuned.addListeners(scores);
     * tuned.fit(examples, epochs);
     * advisor.losses(scores.getScoreVsIter().getEffectiveScores());
     * }</pre>
     *
     * @param losses the network's score after each training step, or after every nth, in order; with fewer than 20, or where
     *               the loss is not above 0, only NaN and infinity are looked for
     * @return this
     */
    public Advisor losses(double... losses) {
        this.losses = losses.clone();
        return this;
    }

    /**
     * The adapter before the training, as {@code LoRAAdapter.of} gives it. It shows whether A moved.
     *
     * @param start of the same layers
     * @return this
     */
    public Advisor start(LoRAAdapter start) {
        this.start = Objects.requireNonNull(start, "start");
        return this;
    }

    /**
     * Examines everything that was given.
     *
     * @return what was found, most urgent first; empty if nothing wrong can be seen
     * @throws IllegalArgumentException if the base is not the one that the adapter was made for, or the start has other layers or
     *                                  ranks
     */
    public List<LoRAAdvice> list() {
        List<LoRAAdvice> found = new ArrayList<>();
        boolean adds = content.deltas().values().stream().noneMatch(delta -> delta.kind().isDora());
        Map<String, Double> moves = adds ? changes(found) : Map.of();
        OptionalDouble largest = moves.values().stream().mapToDouble(Double::doubleValue).max();
        OptionalDouble chance = base == null ? OptionalDouble.empty() : ChanceLoss.of(base);
        new LossCourse(losses, chance, largest).advise(found);
        if (found.stream().anyMatch(advice -> advice.kind() == Kind.RATE_TOO_LOW || advice.kind() == Kind.RATE_TOO_HIGH)) {
            // Then ranks say nothing: at a low rate the first directions are learned before the others, and a high rate leaves
            // noise.
            found.removeIf(advice -> advice.kind() == Kind.RANK_WASTED || advice.kind() == Kind.RANK_CUT_OFF);
        }
        found.sort(Comparator.comparing(LoRAAdvice::kind));
        return List.copyOf(found);
    }

    private LoRAAdvice broken(String layer) {
        DataType type = content.delta(layer).a().dataType();
        String finding = "A or B holds NaN or infinity";
        return type != DataType.HALF ? new LoRAAdvice(Kind.RATE_TOO_HIGH, layer, finding, Map.of())
                : new LoRAAdvice(Kind.RATE_TOO_HIGH, Optional.of(layer), finding, Map.of(), Divergence.remedy(type) + ".");
    }

    /** @return ‖ΔW‖ / ‖W‖ by layer, where it is known and not zero */
    private Map<String, Double> changes(List<LoRAAdvice> found) {
        Map<String, Double> moves = new LinkedHashMap<>();
        List<String> broken = adapter.layers().stream().filter(this::isBroken).toList();
        broken.forEach(layer -> found.add(broken(layer)));
        if (!broken.isEmpty()) {
            return moves;
        }
        Map<String, RankUse> uses = RankUse.of(adapter);
        for (String layer : adapter.layers()) {
            if (RankUse.isUnchanged(adapter, layer)) {
                found.add(new LoRAAdvice(Kind.UNTRAINED, layer, "A·B is what it was before training, so the layer computes what "
                        + "the base does", Map.of("norm of the change", adapter.norm(layer))));
                continue;
            }
            if (!content.delta(layer).cut()) {
                Move ofA = moved(layer, Delta::a);
                Move ofB = moved(layer, Delta::b);
                if (ofA.isNone() && ofB.isNone()) {
                    found.add(new LoRAAdvice(Kind.UNTRAINED, layer, "A and B are what they were before this training",
                            Map.of("norm of the change", adapter.norm(layer))));
                    continue;
                }
                directions(layer, Objects.requireNonNull(uses.get(layer)), found);
                if (ofA.isSmall() && !ofB.isNone() && !ofB.isSmall()
                        && !(adapter.settings(layer).variant() instanceof FrozenALoRA)) {
                    found.add(new LoRAAdvice(Kind.A_UNMOVED, layer, "B learned, but A is nearly what it was before training",
                            Map.of("move of A beside A", ofA.length / ofA.size)));
                }
            }
            if (base != null) {
                moves.put(layer, adapter.relativeNorm(layer, base));
            }
        }
        sizes(moves, found);
        return moves;
    }

    private boolean isBroken(String layer) {
        Delta delta = content.delta(layer);
        return RawValues.firstNotFinite(delta.a()) >= 0 || RawValues.firstNotFinite(delta.b()) >= 0;
    }

    private void directions(String layer, RankUse use, List<LoRAAdvice> found) {
        double[] values = adapter.spectrum(layer);
        Map<String, Double> evidence = new LinkedHashMap<>();
        evidence.put("directions for 99 % of the change", (double) use.needed());
        evidence.put("of", (double) use.directions());
        if (use.needed() <= WASTED * use.directions()) {
            found.add(new LoRAAdvice(Kind.RANK_WASTED, layer, "A few directions hold nearly all of the change", evidence));
        }
        double flat = values[values.length - 1] / values[0];
        if (use.directions() > 1 && use.directions() >= use.rank() && use.needed() == use.directions() && flat >= FLAT) {
            evidence.put("weakest beside the strongest", flat);
            found.add(new LoRAAdvice(Kind.RANK_CUT_OFF, layer, "Every direction that the rank allows is used substantially",
                    evidence));
        }
    }

    /**
     * How far a part is from what it was before the training.
     *
     * @param length NaN if nobody knows
     * @param size   of what it was
     */
    private record Move(double length, double size) {

        boolean isNone() {
            return length == 0;
        }

        boolean isSmall() {
            return size > 0 && length < UNMOVED * size;
        }
    }

    private Move moved(String layer, Function<Delta, INDArray> part) {
        if (start == null) {
            return new Move(Double.NaN, Double.NaN);
        }
        if (!start.layers().contains(layer) || start.rank(layer) != adapter.rank(layer)) {
            throw new IllegalArgumentException(layer + ": the adapter's rank is " + adapter.rank(layer) + ", but start(...) has "
                    + (start.layers().contains(layer) ? "rank " + start.rank(layer) : "only the layers " + start.layers())
                    + ". Give the LoRAAdapter.of(network) from before this training, or leave start out");
        }
        INDArray before = part.apply(ContentAccess.of(start).delta(layer));
        return new Move(part.apply(content.delta(layer)).sub(before).norm2Number().doubleValue(),
                before.norm2Number().doubleValue());
    }

    private static void sizes(Map<String, Double> moves, List<LoRAAdvice> found) {
        double[] sorted = moves.values().stream().mapToDouble(Double::doubleValue).sorted().toArray();
        double median = sorted.length == 0 ? 0 : (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
        moves.forEach((layer, move) -> {
            Map<String, Double> evidence = new LinkedHashMap<>();
            evidence.put("‖ΔW‖ / ‖W‖", move);
            if (move > LARGE) {
                found.add(new LoRAAdvice(Kind.LARGE_CHANGE, layer, "The change is larger than the weights that it is added to",
                        evidence));
            }
            if (sorted.length >= LAYERS && move < HARDLY * median) {
                evidence.put("median of the layers", median);
                found.add(new LoRAAdvice(Kind.HARDLY_MOVED, layer, "The layer hardly moved compared with the others", evidence));
            }
        });
    }
}
